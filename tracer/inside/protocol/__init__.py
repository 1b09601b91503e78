"""The messages between the supervisor and the jail: records of jobs and of answers, and how they become JSON."""

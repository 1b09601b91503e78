"""What the supervisor and the jail tell each other: records of jobs and of answers, and how they become JSON."""

"""Programs that the supervisor's readers have in the replaying process; each is run by ``sandbox.clean_zygote``."""

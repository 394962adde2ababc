"""The service beside what a team writes by hand: the same work, on the same machine, in the same run."""

"""What the commands of payments share."""

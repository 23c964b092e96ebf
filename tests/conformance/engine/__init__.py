"""What every engine must do, by subject."""

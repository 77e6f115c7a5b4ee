"""What a person triggers or a clock schedules: one file per flow."""

"""What is said of a finished run: verdict, tables, exports."""

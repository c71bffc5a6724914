// Ends at once.

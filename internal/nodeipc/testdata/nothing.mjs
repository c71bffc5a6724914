export {}; // Ends at once.

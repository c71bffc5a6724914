// Before the first paint: the colours that were chosen, if any were.
try {
  const chosen = localStorage.getItem('paceline-theme');
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
} catch { /* storage is off: the system's colours */ }

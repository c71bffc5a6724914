// Looks at a page as a program can, and returns what a person with a screen reader,
// a keyboard or weak eyes would stumble over.
(() => {
  const faults = [];
  const tell = (what, el) => faults.push(`${what}: ${el?.outerHTML?.slice(0, 140) ?? ''}`);
  const seen = (el) => el.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
  const name = (el) => (el.getAttribute('aria-label') || [...(el.labels || [])].map((l) => l.innerText).join(' ') || el.innerText || el.title || '').trim();

  if (!document.documentElement.lang) tell('no language');
  if (document.querySelectorAll('h1').length !== 1) tell(`${document.querySelectorAll('h1').length} first headings`);
  for (const tag of ['header', 'nav', 'main']) if (!document.querySelector(tag)) tell(`no ${tag}`);
  if (!document.querySelector('[aria-live=polite]')) tell('nothing tells of changes');
  for (const el of document.querySelectorAll('a, button, input, select, summary, [tabindex="0"]')) if (seen(el) && !name(el)) tell('no name', el);
  for (const el of document.querySelectorAll('[tabindex]')) if (el.tabIndex > 0) tell('an order of its own', el);
  for (const table of document.querySelectorAll('table')) {
    if (!seen(table)) continue;
    if (!table.caption) tell('a table without a caption', table);
    if (![...table.querySelectorAll('thead th')].every((th) => th.scope === 'col' && th.innerText.trim())) tell('a table with unnamed columns', table);
  }
  for (const el of document.querySelectorAll('[aria-labelledby], [aria-describedby]'))
    for (const id of (el.getAttribute('aria-labelledby') || el.getAttribute('aria-describedby')).split(' ')) if (!document.getElementById(id)) tell(`no ${id}`, el);
  const ids = [...document.querySelectorAll('[id]')].map((el) => el.id);
  for (const id of new Set(ids)) if (ids.filter((i) => i === id).length > 1) tell(`two of ${id}`);

  // Contrast by WCAG 2: 4.5 for text, 3 for large.
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const rgba = (css) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = css;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const ground = (el) => {
    const layers = [];
    for (let e = el; e; e = e.parentElement) {
      const c = rgba(getComputedStyle(e).backgroundColor);
      if (c[3]) layers.push(c);
      if (c[3] === 255) break;
    }
    let under = [255, 255, 255];
    for (const c of layers.reverse()) under = under.map((v, i) => v + (c[i] - v) * (c[3] / 255));
    return under;
  };
  const light = (c) => {
    const [r, g, b] = c.map((v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const done = new Set();
  for (const el of document.querySelectorAll('body *')) {
    if (!seen(el) || el.closest('.hidden, .skip, :disabled') || ![...el.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
    const style = getComputedStyle(el), kind = `${el.tagName}.${el.className} ${style.color} ${el.parentElement.className}`;
    if (done.has(kind) || parseFloat(style.fontSize) === 0) continue;
    done.add(kind);
    const [a, b] = [light(rgba(style.color)), light(ground(el))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.6 && style.fontWeight >= 700);
    if (contrast < (large ? 3 : 4.5)) tell(`contrast ${contrast.toFixed(2)}`, el);
  }
  return faults;
})()

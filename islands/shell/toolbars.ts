/**
 * Toolbars are one tab stop each: the arrow keys move within (https://www.w3.org/WAI/ARIA/apg/patterns/toolbar/).
 * Without a script every control is a tab stop.
 *
 * @module
 */

function stopsOf(bar: Element): HTMLElement[] {
  return [...bar.querySelectorAll<HTMLElement>("[data-stop]")].filter((stop) => stop.offsetParent !== null);
}

/** Makes one control of a toolbar its tab stop: this one, or the one that was. */
function rove(bar: Element, to?: HTMLElement): void {
  const stops = stopsOf(bar);
  const stop = to ?? stops.find(({ tabIndex }) => tabIndex === 0 && bar.hasAttribute("data-roves")) ?? stops[0];
  bar.setAttribute("data-roves", "");
  for (const each of bar.querySelectorAll<HTMLElement>("[data-stop]")) each.tabIndex = each === stop ? 0 : -1;
}

/** Handles all toolbars of the page, also what is rendered into them later. */
export function walkToolbars(): void {
  const roveAll = () => document.querySelectorAll("[role=toolbar]").forEach((bar) => rove(bar));
  roveAll();
  new MutationObserver(roveAll).observe(document.body, { childList: true, subtree: true });
  document.addEventListener("focusin", ({ target }) => {
    const bar = (target as Element).closest("[role=toolbar]");
    if (bar && (target as HTMLElement).matches("[data-stop]")) rove(bar, target as HTMLElement);
  });
  document.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const bar = (event.target as Element).matches("[data-stop]") && (event.target as Element).closest("[role=toolbar]");
    if (!step || !bar || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const stops = stopsOf(bar);
    event.preventDefault();
    stops[(stops.indexOf(event.target as HTMLElement) + step + stops.length) % stops.length].focus();
  });
}

/**
 * Toolbars are one tab stop each: the arrow keys move within (https://www.w3.org/WAI/ARIA/apg/patterns/toolbar/).
 * Without a script every control is a tab stop.
 *
 * @module
 */

/** Makes one control of a toolbar its tab stop: this one, or the one that was if it is in sight, or the first. */
function rove(bar: Element, to?: HTMLElement): void {
  const stops = [...bar.querySelectorAll<HTMLElement>("[data-stop]")];
  const was = bar.hasAttribute("data-roves") && stops.find((stop) => stop.tabIndex === 0 && stop.checkVisibility());
  const stop = to ?? (was || stops[0]);
  bar.setAttribute("data-roves", "");
  for (const each of stops) if (each.tabIndex !== (each === stop ? 0 : -1)) each.tabIndex = each === stop ? 0 : -1;
}

/** Handles all toolbars of the page, also what is rendered into them later. */
export function walkToolbars(): void {
  for (const island of document.querySelectorAll("[data-island=strip], [data-island=filters]")) {
    const roveAll = () => island.querySelectorAll("[role=toolbar]").forEach((bar) => rove(bar));
    roveAll();
    new MutationObserver(roveAll).observe(island, { childList: true, subtree: true });
  }
  const barOf = (target: EventTarget | null) =>
    (target as Element).matches("[data-stop]") && (target as Element).closest("[role=toolbar]");
  document.addEventListener("focusin", ({ target }) => {
    const bar = barOf(target);
    if (bar) rove(bar, target as HTMLElement);
  });
  document.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const bar = step && barOf(event.target);
    if (!bar || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const stops = [...bar.querySelectorAll<HTMLElement>("[data-stop]")].filter((stop) => stop.checkVisibility());
    event.preventDefault();
    stops[(stops.indexOf(event.target as HTMLElement) + step + stops.length) % stops.length].focus();
  });
}

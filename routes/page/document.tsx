/**
 * The HTML document around a page.
 *
 * @module
 */

import type { ComponentChildren, JSX } from "preact";
import { renderToString } from "preact-render-to-string";

/** What a document is made of. */
export interface DocumentProps {
  title: string;
  /** Address of the entry script, or none. */
  script?: string;
  /** Where it leads to at once. */
  refresh?: string;
  /** Leads from its address to the place of the page: `../` where it is deeper. Default: empty. */
  root?: string;
  /** More style sheets, and scripts that are no modules. */
  styles?: string[];
  scripts?: string[];
  /** JSON with the initial state of the script. */
  page?: string;
  /** `light` or `dark`; otherwise the system's theme. */
  theme?: string;
  density?: string;
  className?: string;
  children: ComponentChildren;
}

function Document(
  { title, refresh, root = "", script, styles = [], scripts = [], page, theme, density, className, children }:
    DocumentProps,
): JSX.Element {
  return (
    <html lang="en" data-theme={theme} data-density={density}>
      <head>
        <meta charSet="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        {refresh !== undefined && <meta httpEquiv="refresh" content={`0;url=${refresh}`} />}
        <title>{title}</title>
        <link rel="icon" href={`${root}static/icon.svg`} type="image/svg+xml" />
        <link rel="stylesheet" href={`${root}static/tokens.css`} />
        <link rel="stylesheet" href={`${root}static/styles.css`} />
        {styles.map((href) => <link key={href} rel="stylesheet" href={href} />)}
        {scripts.map((src) => <script key={src} defer src={src} />)}
        {script && <script type="module" src={script} />}
      </head>
      <body class={className || undefined} data-page={page}>{children}</body>
    </html>
  );
}

/** Renders a whole document. */
export function renderDocument(props: DocumentProps): string {
  return `<!DOCTYPE html>${renderToString(<Document {...props} />)}`;
}

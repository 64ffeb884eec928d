/** The page's style sheet: light or dark by the reader's system, without images, fonts or other external files. */
import { Markup } from './markup.js';

export const styleSheet = new Markup(`
:root {
  color-scheme: light dark;
  --page: #f6f5f1; --card: #ffffff; --ink: #1c2024; --soft: #60646c; --line: #dcdad3; --lane: #b9b7b0;
  --good: #18794e; --good-back: #e3f3ea; --bad: #c02a1d; --bad-back: #fde8e4; --silent: #8a5a00;
  --silent-back: #fdf0cf; --accent: #2f5fb3; --band: #eef1f6;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #111316; --card: #191c20; --ink: #e8e9eb; --soft: #a0a5ad; --line: #31353b; --lane: #565b63;
    --good: #5fd09b; --good-back: #15301f; --bad: #ff8a7a; --bad-back: #3a1a17; --silent: #f0c05a;
    --silent-back: #352a10; --accent: #8ab4f8; --band: #21262d;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 var(--sans); }
main { max-width: 1080px; margin: 0 auto; padding: 48px 24px 96px; }
h1 { font-size: 31px; line-height: 1.2; letter-spacing: -0.02em; margin: 0 0 16px; }
h2 { font-size: 23px; line-height: 1.3; letter-spacing: -0.01em; margin: 0; }
h3 { font-size: 13px; text-transform: uppercase; letter-spacing: 0.07em; color: var(--soft); margin: 28px 0 8px; }
p { margin: 0 0 12px; max-width: 76ch; }
a { color: var(--accent); text-decoration-thickness: 1px; text-underline-offset: 3px; }
a:focus-visible, summary:focus-visible, .scroll:focus-visible { outline: 2px solid var(--accent); outline-offset: 3px; }
code, .mono { font-family: var(--mono); font-size: 0.88em; }
.whole { white-space: nowrap; }
.lead { font-size: 18px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 28px 32px; margin-top: 28px; }
.number { color: var(--soft); font-weight: 400; }
.why { font-size: 17px; margin: 8px 0 12px; }
dl.facts { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 0; color: var(--soft); }
dl.facts dt { font-weight: 600; }
dl.facts dd { margin: 0; }
.scroll { overflow-x: auto; }
figure { margin: 24px 0 0; }
figure svg { display: block; width: 100%; min-width: 760px; height: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 6px 24px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
thead th { font-size: 13px; color: var(--soft); font-weight: 600; }
tbody th { font-weight: inherit; }
td.wide { min-width: 16em; }
.good { color: var(--good); } .bad { color: var(--bad); } .silent { color: var(--silent); }
.pill { display: inline-block; border-radius: 6px; padding: 1px 8px; font-size: 14px; white-space: nowrap; }
.pill.good { background: var(--good-back); } .pill.bad { background: var(--bad-back); }
.pill.silent { background: var(--silent-back); }
.ending { border-left: 4px solid var(--line); padding: 2px 0 2px 16px; margin-top: 28px; }
.ending.good { border-color: var(--good); } .ending.bad { border-color: var(--bad); }
.ending p, .ending li { color: var(--ink); margin: 0 0 6px; }
.ending ul { margin: 6px 0; padding-left: 20px; }
details { margin-top: 8px; color: var(--soft); }
summary { cursor: pointer; }
details ol { margin: 8px 0; }
ul.legend { list-style: none; padding: 0; margin: 0; display: grid; gap: 6px 24px; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); }
ul.legend li { display: flex; align-items: center; gap: 10px; }
ul.legend svg { flex: none; }
footer { color: var(--soft); margin-top: 40px; font-size: 14px; }
svg text { fill: var(--ink); font-family: var(--sans); font-size: 13.5px; }
svg .head { font-size: 12.5px; font-weight: 600; }
svg .headbox { fill: var(--band); stroke: var(--line); }
svg .call { font-family: var(--mono); font-size: 12.5px; }
svg .remark { font-family: var(--sans); font-size: 13px; font-weight: 600; }
svg tspan.good { fill: var(--good); } svg tspan.bad { fill: var(--bad); } svg tspan.silent { fill: var(--silent); }
svg .note { fill: var(--soft); }
svg .strong { font-weight: 600; }
svg .answer { font-family: var(--mono); font-size: 12px; text-anchor: middle; }
svg text.good { fill: var(--good); } svg text.bad { fill: var(--bad); } svg text.silent { fill: var(--silent); }
svg rect.good { fill: var(--good-back); } svg rect.bad { fill: var(--bad-back); } svg rect.silent { fill: var(--silent-back); }
svg rect.plain, svg .band { fill: var(--band); }
svg .lane { stroke: var(--lane); stroke-width: 1.5; }
svg .lane.off { stroke-dasharray: 1.5 5; stroke-linecap: round; }
svg .arrow { stroke-width: 1.75; fill: none; stroke: var(--soft); }
svg .arrow.good { stroke: var(--good); } svg .arrow.bad { stroke: var(--bad); } svg .arrow.silent { stroke: var(--silent); }
svg .tip { fill: var(--soft); stroke: none; }
svg .tip.good { fill: var(--good); } svg .tip.bad { fill: var(--bad); } svg .tip.silent { fill: var(--silent); }
svg .cross { stroke-width: 2.5; stroke-linecap: round; stroke: var(--silent); }
svg .cross.bad { stroke: var(--bad); }
@media print { body { background: none; } .card { break-inside: avoid; } }
`);

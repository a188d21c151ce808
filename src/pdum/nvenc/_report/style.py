"""The style sheet of the HTML report, for light and dark themes, large screens and phones."""

STYLE = """
:root { --page: #f4f6f9; --card: #fff; --ink: #1b2430; --soft: #5d6b7d; --line: #e1e7ee; --track: #e7ecf2;
  --good: #15803d; --marginal: #a16207; --bigger: #b91c1c; --before: #cbd5e1; --accent: #0f766e;
  --good-bar: #22a55a; --marginal-bar: #d99a13; --bigger-bar: #dc4343; --span-0: 48%; --span-1: 64%; }
@media (prefers-color-scheme: dark) { :root { --page: #0d1117; --card: #151c26; --ink: #dbe3ec; --soft: #8b99ab;
  --line: #243040; --track: #1d2733; --good: #4ade80; --marginal: #facc15; --bigger: #f87171; --before: #3a4858;
  --accent: #5eead4; --good-bar: #2fae63; --marginal-bar: #c9991c; --bigger-bar: #d25353;
  --span-0: 44%; --span-1: 60%; } }
* { box-sizing: border-box; }
html { background: var(--page); color: var(--ink); -webkit-text-size-adjust: 100%; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; margin: 0 auto;
  max-width: 1120px; padding: 28px 20px 60px; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 16px; margin-bottom: 18px; }
h1 { font-size: 22px; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 16px; margin: 0 0 2px; }
header p, .note { color: var(--soft); margin: 0; font-size: 13px; }
.note { margin-bottom: 12px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 18px 20px;
  margin: 16px 0; overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; }
.cards div { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 14px 16px; }
.cards b { display: block; font-size: 24px; line-height: 1.25; letter-spacing: -.02em; white-space: nowrap; }
.cards span { color: var(--soft); font-size: 13px; }
.good { color: var(--good); } .marginal { color: var(--marginal); } .bigger { color: var(--bigger); }
.number { font-variant-numeric: tabular-nums; white-space: nowrap; text-align: right; }
svg { display: block; width: 100%; overflow: hidden; }
svg .before { fill: var(--before); } svg .good { fill: var(--good-bar); } svg .marginal { fill: var(--marginal-bar); }
svg .bigger { fill: var(--bigger-bar); } svg .unknown { fill: var(--before); }
.row { display: grid; grid-template-columns: minmax(0, 21em) minmax(0, 1fr) 11.5em 4em; gap: 12px; align-items: center;
  padding: 3px 0; font-size: 13px; }
.row bdi { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; text-align: left; }
.row bdi:has(span) { display: flex; }
.row bdi span { overflow: hidden; text-overflow: ellipsis; white-space: pre; flex: 0 9999 auto; min-width: 5em; }
.row bdi span + span { flex-shrink: 1; }
.row.dropped svg, .row.dropped .sizes { opacity: .6; }
.row .sizes { color: var(--soft); }
.engine { display: grid; grid-template-columns: 9.5em minmax(0, 1fr) 13em; gap: 12px; align-items: center;
  padding: 4px 0; font-size: 13px; }
.engine b { font-weight: 600; white-space: nowrap; }
.engine svg { background: var(--track); border-radius: 4px; }
.engine .number { color: var(--soft); }
.gap { fill: var(--bigger-bar); fill-opacity: .35; } .gap-mark { stroke: var(--bigger-bar); stroke-width: 2px; }
.retried { fill: var(--bigger-bar); }
.axis { display: flex; justify-content: space-between; color: var(--soft); font-size: 12px; padding-top: 2px;
  font-variant-numeric: tabular-nums; }
.gantt .axis { margin: 0 calc(13em + 12px) 0 calc(9.5em + 12px); }
.speed { fill: var(--accent); fill-opacity: .18; } .speed-line { fill: none; stroke: var(--accent); stroke-width: 2px; }
.plot { position: relative; border-bottom: 1px solid var(--line); }
.plot .top { position: absolute; left: 0; top: 0; color: var(--soft); font-size: 12px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th { color: var(--soft); font-weight: 500; text-align: left; } th.number { text-align: right; }
th, td { padding: 6px 10px 6px 0; border-top: 1px solid var(--line); vertical-align: top; }
thead th { border-top: 0; } tfoot td { font-weight: 600; }
td:first-child { min-width: 9em; } .reasons td:first-child { width: 55%; }
.settings td:first-child { width: 16em; } .notices { border-left: 4px solid var(--marginal-bar); }
summary { cursor: pointer; font-weight: 600; font-size: 16px; }
details table { margin-top: 10px; }
footer { color: var(--soft); font-size: 12px; padding: 6px 4px; }
@media (max-width: 640px) {
  body { padding: 16px 12px 40px; } section { padding: 14px; }
  .cards { grid-template-columns: 1fr 1fr; } .cards b { font-size: 20px; }
  .row { grid-template-columns: minmax(0, 1fr) auto; gap: 2px 10px; padding: 6px 0; }
  .row svg { grid-column: 1 / -1; grid-row: 2; } .row .sizes { display: none; }
  .engine { grid-template-columns: minmax(0, 1fr) auto; gap: 2px 10px; padding: 6px 0; }
  .engine svg { grid-column: 1 / -1; grid-row: 2; }
  .gantt .axis { margin: 0; }
}
"""

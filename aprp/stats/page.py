"""The page of /stats, a template for `string.Template`."""

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta http-equiv="refresh" content="5">
<title>aprp statistics</title>
<style>
:root {
  color-scheme: light dark;
  --ground: #f5f6f8; --card: #fff; --ink: #1c2129; --soft: #626b78; --line: #e2e5ea;
  --mark: #2563c9;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14171c; --card: #1d2128; --ink: #e7eaee; --soft: #98a1ae; --line: #2f353e;
    --mark: #7fb0ff;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem 1rem 2rem; max-width: 54rem;
  background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
h1 { margin: 0 0 1rem; font-size: 1.4rem; }
h1 small { color: var(--soft); font-size: .9rem; font-weight: normal; }
h2 { margin: 0 0 .4rem; font-size: .95rem; }
p { margin: 0 0 .4rem; color: var(--soft); font-size: .85rem; overflow-wrap: anywhere; }
section, .key {
  background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .9rem 1rem;
}
dl { display: flex; flex-wrap: wrap; gap: .8rem; margin: 0 0 .8rem; }
.key { flex: 1 1 8rem; }
.key.wide { flex-basis: 14rem; }
dt { color: var(--soft); font-size: .85rem; }
dd { margin: 0; font-size: 1.5rem; line-height: 1.3; white-space: nowrap; }
dd, td { font-variant-numeric: tabular-nums; }
main { columns: 22rem; column-gap: .8rem; }
section { break-inside: avoid; margin-bottom: .8rem; }
table { width: 100%; border-collapse: collapse; }
th, td { padding: .25rem 0; border-top: 1px solid var(--line); }
th { font-weight: normal; text-align: left; }
thead th, tbody:first-child tr:first-child > * { border-top: 0; }
thead th { color: var(--soft); font-size: .85rem; }
td, thead th + th { text-align: right; padding-left: 1rem; }
@media (max-width: 26rem) {
  table { font-size: .8rem; }
  td, thead th + th { padding-left: .5rem; }
}
footer { margin-top: 1rem; color: var(--soft); font-size: .85rem; }
a { color: var(--mark); }
</style>
</head>
<body>
<h1>aprp <small>$version</small></h1>
<dl>
<div class="key wide"><dt>Uptime</dt><dd>$uptime</dd></div>
<div class="key"><dt>Requests</dt><dd>$requests</dd></div>
<div class="key"><dt>Active transfers</dt><dd>$active</dd></div>
<div class="key"><dt>Workers</dt><dd>$workers</dd></div>
</dl>
<main>
<section>
<h2>Bytes</h2>
<table>
<thead><tr>
<th scope="col">unit</th><th scope="col">to clients</th><th scope="col">from origins</th>
</tr></thead>
<tbody>
$volumes
</tbody>
</table>
</section>
<section>
<h2>Transfers</h2>
<table><tbody>
$transfers
</tbody></table>
</section>
<section>
<h2>Cache</h2>
<p>$storing</p>
<table><tbody>
$cache
</tbody></table>
</section>
<section>
<h2>Answers by status</h2>
<table><tbody>
$responses
</tbody></table>
</section>
<section>
<h2>Origins</h2>
<p>$target</p>
<table><tbody>
$origins
</tbody></table>
</section>
<section>
<h2>Tunnels</h2>
<table><tbody>
$tunnels
</tbody></table>
</section>
</main>
<footer>1 kB = 1024 bytes. Reloads every 5 seconds. <a href="?format=json">As JSON</a></footer>
</body>
</html>
"""

"""The page around a viewer's terminal. It loads nothing from other machines."""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>pdum-nvenc</title>
<link rel="stylesheet" href="static/css/xterm.css">
<style>
@font-face { font-family: "Roboto Mono"; font-weight: 100 700;
  src: url("static/fonts/RobotoMono-VariableFont_wght.ttf"); }
html, body { margin: 0; height: 100%; background: #0d1117; overflow: hidden; }
#terminal { position: absolute; inset: 0; }
#closed { display: none; position: fixed; inset: auto 0 0 0; padding: 4px 16px; gap: 16px; align-items: center;
  justify-content: center; background: #5eead4; color: #0d1117; font: 14px/1.4 "Roboto Mono", monospace; }
.xterm .xterm-viewport { background-color: #0d1117 !important; }
body.-closed #closed { display: flex; }
#closed button { font: inherit; color: inherit; padding: 4px 12px; border: 1px solid; background: none;
  cursor: pointer; }
</style>
</head>
<body>
<div id="terminal" class="textual-terminal" data-font-size="FONT_SIZE"></div>
<div id="closed" role="status"><span>This is the last picture. The run is over, or its program has stopped.</span>
<button type="button" onclick="location.reload()">Reload</button></div>
<script>
document.getElementById("terminal").dataset.sessionWebsocketUrl =
  new URL("ws", location.href).href.replace(/^http/, "ws").replace(/[?#].*/, "");
// The terminal measures its font when it is made, so the font has to come first.
document.fonts.load('16px "Roboto Mono"').finally(() => {
  const script = document.createElement("script");
  script.src = "static/js/textual.js";
  script.onload = () => { const begin = window.onload; window.onload = null; begin(); };
  document.head.append(script);
});
// Keys go to the dashboard without a click. It has to be told again once it is there.
new MutationObserver((_, observer) => {
  if (!document.body.classList.contains("-first-byte")) return;
  observer.disconnect();
  const keys = document.querySelector(".xterm-helper-textarea");
  keys.blur();
  keys.focus();
}).observe(document.body, {attributeFilter: ["class"]});
</script>
</body>
</html>
"""


def page(font_size: int) -> str:
    return PAGE.replace("FONT_SIZE", str(font_size))

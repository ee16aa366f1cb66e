#include "report/html.h"

#include "base/error.h"
#include "base/text.h"

namespace lorikeet {
namespace {

constexpr const char* kStyle = R"css(
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--fg:#1b2027;--dim:#5c6672;--line:#dfe3e8;--soft:#eef1f4;
--s0:#1f6feb;--s1:#c2570c;--s2:#1a7f37;--s3:#8250df;--s4:#bf3989;--s5:#57606a;--frozen:#cbd2da;--adapted:#e8730c;
--trained:#1a7f37;--partly:#8250df;--bad:#b42318}
@media(prefers-color-scheme:dark){:root{--bg:#0e1217;--card:#171c23;--fg:#e4e8ee;--dim:#98a3b0;--line:#2c343e;
--soft:#20272f;--s0:#6cb0ff;--s1:#ff9d57;--s2:#56d364;--s3:#c297ff;--s4:#ff7fb8;--s5:#98a3b0;--frozen:#3a444f;
--adapted:#ff9a3d;--trained:#3fb950;--partly:#c297ff;--bad:#ff7b72}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1080px;margin:0 auto;padding:24px 16px 48px}
h1{font-size:1.6rem;line-height:1.2;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:1.05rem;margin:0 0 12px}
p{margin:0 0 10px}
.dim,figcaption,.note{color:var(--dim)}
.note{font-size:.87rem}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:16px;margin-top:16px;
break-inside:avoid}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin-top:16px}
.tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 14px;min-width:0}
.tile b{display:block;font-size:1.45rem;line-height:1.25;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.tile span{color:var(--dim);font-size:.85rem;display:block;overflow-wrap:anywhere}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(280px,1fr));gap:16px}
.charts figure,figure{margin:0;min-width:0}
figcaption{font-size:.85rem;overflow-wrap:anywhere}
svg{display:block;width:100%;height:auto;font:11px system-ui,"DejaVu Sans",sans-serif;fill:var(--fg)}
svg text.t{fill:var(--dim)}svg .g{stroke:var(--line);fill:none}svg .c{fill:none;stroke-width:2;stroke-linejoin:round}
svg .thin{stroke-width:1;opacity:.45}svg text{unicode-bidi:isolate}
.wide{overflow-x:auto}.wide svg{max-width:none}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.92rem}
th,td{text-align:left;padding:5px 10px 5px 0;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--dim);font-weight:600;white-space:nowrap}
th.n,td.n{text-align:right;white-space:nowrap}td{overflow-wrap:anywhere}td:first-child{min-width:10em}
.mistakes{display:grid;grid-template-columns:repeat(auto-fill,minmax(112px,1fr));gap:12px}
.mistakes img{width:100%;aspect-ratio:1;object-fit:contain;background:var(--soft);border-radius:6px}
.mistakes img.pixels{image-rendering:pixelated}
.mistakes figure{break-inside:avoid}.mistakes figcaption{line-height:1.3;margin-top:3px;overflow-wrap:break-word}
.file{display:block;font-size:.76rem;overflow-wrap:anywhere}.nowrap{white-space:nowrap}
.stage{display:flex;flex-wrap:wrap;gap:3px;align-items:center;margin-bottom:5px}
.stage>b{flex:0 0 9em;font-weight:500;font-size:.85rem;overflow-wrap:anywhere}
.l{display:inline-block;height:16px;border-radius:3px;background:var(--frozen)}
.l.a{background:var(--adapted)}.l.t{background:var(--trained)}.l.p{background:var(--partly)}
.key{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:.85rem;color:var(--dim);margin:8px 0 0}
.key i{display:inline-block;width:14px;height:12px;border-radius:3px;margin-right:5px;vertical-align:-1px}
pre{overflow-x:auto;background:var(--soft);border-radius:6px;padding:10px;font-size:.82rem;margin:8px 0 0}
.share{display:block;height:6px;border-radius:3px;background:var(--soft)}
.share i{display:block;height:6px;border-radius:3px;background:var(--s0);min-width:1px}
@media(max-width:480px){main{padding:16px 10px 32px}section{padding:12px}.stage>b{flex-basis:100%}h1{font-size:1.3rem}
.mistakes{grid-template-columns:repeat(auto-fill,minmax(120px,1fr))}.tiles{grid-template-columns:1fr 1fr}}
@media print{:root{color-scheme:light;--bg:#fff;--card:#fff;--fg:#000;--dim:#444;--line:#bbb;--soft:#eee;--s0:#1f6feb;
--s1:#c2570c;--s2:#1a7f37;--s3:#8250df;--s4:#bf3989;--s5:#57606a;--frozen:#cbd2da;--adapted:#e8730c;--trained:#1a7f37;
--partly:#8250df;--bad:#b42318}body{font-size:11pt}main{max-width:none;padding:0}*{print-color-adjust:exact;
-webkit-print-color-adjust:exact}pre{white-space:pre-wrap}.wide{overflow:visible}}
)css";

}  // namespace

std::string html_escaped(std::string_view text) {
  std::string out;
  for (const char c : printable(text, std::string_view::npos)) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string html_name(std::string_view text) { return cat("<bdi>", html_escaped(text), "</bdi>"); }

std::string html_table(const std::vector<Table::Column>& columns,
                       const std::vector<std::vector<std::string>>& html_rows) {
  const auto row = [&](const char* cell, const auto& text_of) {
    std::string out = "<tr>";
    for (std::size_t i = 0; i < columns.size(); ++i)
      out += cat("<", cell, columns[i].right ? " class=\"n\">" : ">", text_of(i), "</", cell, ">");
    return out + "</tr>\n";
  };
  std::string out = "<div class=\"wide\"><table><thead>";
  out += row("th", [&](std::size_t i) { return html_escaped(columns[i].title); }) + "</thead><tbody>\n";
  for (const auto& cells : html_rows) out += row("td", [&](std::size_t i) { return cells[i]; });
  return out + "</tbody></table></div>\n";
}

std::string html_section(std::string_view title, const std::string& html) {
  return html.empty() ? "" : cat("<section><h2>", html_escaped(title), "</h2>\n", html, "</section>\n");
}

std::string html_page(std::string_view title, const std::string& html) {
  return cat(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src "
      "'unsafe-inline'\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
      html_escaped(title), "</title>\n<style>", kStyle, "</style>\n</head>\n<body>\n<main>\n", html,
      "</main>\n</body>\n</html>\n");
}

}  // namespace lorikeet

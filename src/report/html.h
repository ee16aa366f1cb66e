// Text, tables and pages in HTML. All texts are untrusted: every function escapes what it is given, except arguments
// named `html`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "report/table.h"

namespace lorikeet {

/// `text` for HTML and SVG, in elements and in quoted attributes. Control characters are shown as escapes, and bytes
/// that are not UTF-8 as U+FFFD.
std::string html_escaped(std::string_view text);

/// A name in an element of its own, so that its writing direction does not change that of the text around it.
std::string html_name(std::string_view text);

/// A table that scrolls sideways if the page is too narrow. Cells are HTML.
std::string html_table(const std::vector<Table::Column>& columns,
                       const std::vector<std::vector<std::string>>& html_rows);

/// A section with a heading; empty if `html` is empty.
std::string html_section(std::string_view title, const std::string& html);

/// A complete page without scripts and without references to other files, in light and dark colours. Its content
/// security policy permits embedded styles and data: images only.
std::string html_page(std::string_view title, const std::string& html);

}  // namespace lorikeet

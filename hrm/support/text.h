// Text that comes from files and from the command line, made safe to show.
#pragma once

#include <string>
#include <string_view>

namespace hrm {

// `text` as a terminal may show it: one line, and nothing in it that a terminal would obey. Control
// characters, bytes that are no UTF-8 and the marks that turn the direction of writing become
// escapes such as \x1b. Text without any of these is returned as it is.
std::string printable(std::string_view text);

}  // namespace hrm

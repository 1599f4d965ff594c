// The style sheet and the script of all pages, as the files beside this one have them.
//
//     page += "<style>" + std::string(style_sheet()) + "</style>";
#pragma once

#include <string_view>

namespace hrm {

std::string_view style_sheet();    // style.css
std::string_view viewer_script();  // viewer.js, a module

}  // namespace hrm

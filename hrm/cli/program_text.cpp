// The manual page, written from the program's own commands.
#include <algorithm>
#include <sstream>

#include "hrm/cli/command_tree.h"
#include "hrm/cli/program.h"
#include "hrm/support/text.h"

namespace hrm {
namespace {

// Text as roff takes it: a hyphen is one that can be searched for, and no line is a request.
std::string roff(const std::string& text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
    line_start = c == '\n';
  }
  return out;
}

// Lines as they are, and without filling where they are indented.
std::string roff_paragraphs(const std::string& text) {
  std::string out;
  bool as_is = false;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const bool indented = line.starts_with("  ");
    if (indented != as_is) out += indented ? ".nf\n" : ".fi\n";
    as_is = indented;
    out += line.empty() ? ".PP\n" : roff(line) + (indented ? "\n" : "\n.br\n");
  }
  return as_is ? out + ".fi\n" : out;
}

std::string roff_option(const CLI::Option& option) {
  std::string text = ".TP\n\\fB" + roff(option.get_name(option.get_positional())) + "\\fR";
  if (!option.get_type_name().empty()) text += " \\fI" + roff(option.get_type_name()) + "\\fR";
  if (option.get_required()) text += " (required)";
  return text + "\n" + roff(option.get_description()) + "\n";
}

std::string roff_command(const CLI::App& program, const std::string& words,
                         const CLI::App& command) {
  std::string text = ".SS hrm " + roff(words) + "\n" + roff(command.get_description()) + "\n";
  for (const CLI::Option* option : command.get_options())
    if (option != command.get_help_ptr()) text += roff_option(*option);
  const std::string footer = command.get_footer();
  if (!footer.empty() && footer != program.get_footer()) text += ".PP\n" + roff_paragraphs(footer);
  return text;
}

}  // namespace

std::string Program::manual_page() const {
  const std::string title = app_->get_description();
  const size_t colon = title.find(": "), line = title.find('\n');
  std::string text = ".TH HRM 1 \"\" \"" + roff(version_) + "\" \"User Commands\"\n.SH NAME\n" +
                     roff(title.substr(0, colon)) + " \\- " +
                     roff(title.substr(colon + 2, line - colon - 2)) +
                     "\n.SH SYNOPSIS\n.B hrm\n.I COMMAND\n.RI [ OPTION ]...\n.SH DESCRIPTION\n" +
                     roff_paragraphs(title.substr(line + 2)) + ".PP\n" +
                     roff_paragraphs(app_->get_footer()) + ".SH COMMANDS\n";
  visit_commands(*app_, "", [&](const std::string& words, const CLI::App& command) {
    if (!words.empty()) text += roff_command(*app_, words, command);
  });
  return text +
         ".SH ENVIRONMENT\n"
         ".TP\n\\fBOMP_NUM_THREADS\\fR\n"
         "How many threads a command uses (by default one for each core). "
         "The results do not depend on it.\n"
         ".TP\n\\fBHRM_ISA\\fR\n"
         "The instruction set that the kernels use, instead of the best that the processor has. "
         "\\fBhrm info\\fR names those that are there.\n"
         ".TP\n\\fBHRM_TRACE\\fR\n"
         "With 1, every operation prints a line on the standard error: its shapes, its time and "
         "its "
         "rate.\n";
}

}  // namespace hrm

// The program as a whole: its commands, and what is said of a command line that makes no sense.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "hrm/cli/command.h"

namespace hrm {

// The command line makes no sense; what() is one line that says why.
class UsageError : public Error {
 public:
  using Error::Error;
};

class Program {
 public:
  // `title` stands above the help, `footer` below that of every command.
  Program(const std::string& title, const std::string& version, const std::string& footer);
  ~Program();

  Command root() const;
  // Reads the words of a command line, without the program's own name, and does what it asks for;
  // prints help or the version. Throws UsageError, and what the command throws.
  void run(const std::vector<std::string>& words);

  // A script with which a shell (bash, zsh or fish) completes the words of a command line.
  // `values`: what an option takes ("--preset": names), where its check does not say so.
  std::string completion(const std::string& shell,
                         const std::map<std::string, std::vector<std::string>>& values) const;
  // The manual page, as man reads it.
  std::string manual_page() const;

 private:
  std::string version_;
  std::unique_ptr<CLI::App> app_;
};

}  // namespace hrm

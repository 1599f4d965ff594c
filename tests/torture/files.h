// Whole files and whole folders.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include <nlohmann/json.hpp>

namespace hrm::torture {

using Path = std::filesystem::path;
using Json = nlohmann::ordered_json;

// These throw std::runtime_error with the name of the file.
std::string read_file(const Path& path);
void write_file(const Path& path, const std::string& bytes);
// Copies a folder; symbolic links stay links. What was at `to` before is removed.
void copy_folder(const Path& from, const Path& to);

// What a folder holds: the relative name of every file, folder and link in it, with its bytes (of a
// link: where it points).
std::map<std::string, std::string> contents(const Path& folder);
// The first name by which two such maps differ and how, or "" if they are equal.
std::string first_change(const std::map<std::string, std::string>& before,
                         const std::map<std::string, std::string>& after);

}  // namespace hrm::torture

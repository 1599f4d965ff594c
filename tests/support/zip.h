// Zip archives, right or wrong.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tensor/zip_archive.h"

namespace hrm::test {

// A number in little-endian order.
template <class T>
std::string bytes_of_number(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
inline std::string u16(uint64_t value) { return bytes_of_number(static_cast<uint16_t>(value)); }
inline std::string u32(uint64_t value) { return bytes_of_number(static_cast<uint32_t>(value)); }
inline std::string u64(uint64_t value) { return bytes_of_number(value); }

// An entry, and what the archive says of it where that is not the truth.
struct ZipEntry {
  std::string name, data;
  uint64_t align = 64;
  bool zip64 = false;  // sizes and place stand in the extra field
  uint16_t flags = 0x0808, method = 0;
  std::optional<std::string> local_name = {}, extra = {};
  std::optional<uint64_t> offset = {}, compressed = {}, size = {};
  std::optional<uint32_t> crc = {};
};

// What stands behind the entries, and what it says where that is not the truth.
struct ZipEnd {
  bool zip64 = true;         // as PyTorch does, whatever the size
  std::string between = {};  // the directory and the end
  std::optional<uint64_t> entries = {}, directory_size = {}, directory_offset = {}, record_at = {};
  std::optional<uint64_t> small_size = {};  // of the directory, in the last record
  uint16_t disk = 0;
  std::string comment = {};
};

inline std::string local_header(const ZipEntry& entry, uint64_t at) {
  const std::string name = entry.local_name.value_or(entry.name);
  // Sizes and checksum stand behind the data. The extra field moves the data to a multiple of
  // `align`.
  const uint64_t start = at + 30 + name.size() + 4;
  const uint64_t fill = (entry.align - start % entry.align) % entry.align;
  return "PK\x03\x04" + u16(0) + u16(entry.flags) + u16(entry.method) + u32(0) + u32(0) + u32(0) +
         u32(0) + u16(name.size()) + u16(4 + fill) + name + "FB" + u16(fill) +
         std::string(fill, 'Z');
}

inline std::string directory_entry(const ZipEntry& entry, uint64_t at) {
  const uint64_t size = entry.size.value_or(entry.data.size()),
                 compressed = entry.compressed.value_or(size), offset = entry.offset.value_or(at);
  const auto field = [&](uint64_t value) { return u32(entry.zip64 ? 0xffffffff : value); };
  const std::string sizes = u16(1) + u16(24) + u64(size) + u64(compressed) + u64(offset);
  const std::string extra = entry.extra.value_or(entry.zip64 ? "xx" + u16(2) + "yy" + sizes : "");
  const uint32_t crc = entry.crc.value_or(crc32(std::as_bytes(std::span(entry.data))));
  return "PK\x01\x02" + u16(0) + u16(0) + u16(entry.flags) + u16(entry.method) + u32(0) + u32(crc) +
         field(compressed) + field(size) + u16(entry.name.size()) + u16(extra.size()) + u16(0) +
         u16(0) + u16(0) + u32(0) + field(offset) + entry.name + extra;
}

inline std::string zip(const std::vector<ZipEntry>& entries, const ZipEnd& end = {}) {
  std::string file, directory;
  for (const ZipEntry& entry : entries) {
    const uint64_t at = file.size();
    file += local_header(entry, at) + entry.data;
    file += "PK\x07\x08" + u32(0) + u32(entry.data.size()) + u32(entry.data.size());
    directory += directory_entry(entry, at);
  }
  const uint64_t offset = end.directory_offset.value_or(file.size()),
                 size = end.directory_size.value_or(directory.size()),
                 count = end.entries.value_or(entries.size());
  file += directory + end.between;
  if (end.zip64) {
    const uint64_t record = end.record_at.value_or(file.size());
    file += "PK\x06\x06" + u64(44) + u16(0) + u16(0) + u32(0) + u32(0) + u64(count) + u64(count) +
            u64(size) + u64(offset);
    file += "PK\x06\x07" + u32(0) + u64(record) + u32(1);
  }
  file += "PK\x05\x06" + u16(end.disk) + u16(end.disk) + u16(count) + u16(count) +
          u32(end.small_size.value_or(size)) + u32(offset) + u16(end.comment.size()) + end.comment;
  return file;
}

}  // namespace hrm::test

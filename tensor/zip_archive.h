// Zip archives whose entries are stored as they are, as torch.save writes them. Nothing is
// unpacked: an entry is a part of the memory that the archive lies in. The reader trusts nothing.
// All of the directory is checked before the first entry is given out: that every entry lies within
// the file, that no two overlap or have the same name, and that the directory and the header in
// front of the entry say the same. An Error names the file, the entry and what to do.
//
// Refused, with a hint: compressed and encrypted entries, archives in several parts, and archives
// with a comment or other bytes behind their end. Sizes may be those of zip64.
//
// The format is that of APPNOTE.TXT, PKWARE's ".ZIP File Format Specification", 4.3 and 4.5.3.
//
//     const MappedFile file("checkpoint.pt");
//     const ZipArchive archive(file.bytes(), "checkpoint.pt");
//     if (const ZipArchive::Entry* version = archive.find("archive/version"))
//       show(archive.read(*version));
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace hrm {

// The CRC-32 of zip and gzip.
uint32_t crc32(std::span<const std::byte> bytes);

class ZipArchive {
 public:
  struct Entry {
    std::string_view name;
    std::span<const std::byte> bytes;
    uint32_t crc;
  };
  // `bytes` must outlive the archive. `file`: its name, for errors.
  ZipArchive(std::span<const std::byte> bytes, std::string file);

  const std::vector<Entry>& entries() const { return entries_; }
  const Entry* find(std::string_view name) const;  // null if absent
  // The bytes of an entry; an Error if their checksum is not the one of the directory.
  std::span<const std::byte> read(const Entry& entry) const;

 private:
  struct Directory {
    uint64_t offset, size, entries;
  };
  Directory find_directory() const;
  void read_directory(const Directory& directory);
  Entry read_entry(uint64_t at, uint64_t end, uint64_t* next);
  std::span<const std::byte> locate(std::string_view name, uint64_t offset, uint64_t size,
                                    uint64_t end) const;
  void check_overlaps() const;
  std::span<const std::byte> part(uint64_t at, uint64_t size, const char* what) const;

  std::span<const std::byte> bytes_;
  std::string file_;
  std::vector<Entry> entries_;
  std::vector<uint64_t> offsets_;  // of the headers of the entries
  std::unordered_map<std::string_view, size_t> by_name_;
};

}  // namespace hrm

#include "tensor/zip_archive.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "kernels/types.h"
#include "tensor/file_text.h"

namespace hrm {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

// Records of the format: their signatures, and their sizes without names and extra fields.
constexpr uint32_t kLocalSignature = 0x04034b50, kCentralSignature = 0x02014b50,
                   kEndSignature = 0x06054b50, kEnd64Signature = 0x06064b50,
                   kLocator64Signature = 0x07064b50;
constexpr uint64_t kLocalSize = 30, kCentralSize = 46, kEndSize = 22, kEnd64Size = 56,
                   kLocator64Size = 20;
// What stands in a field whose value is in a zip64 record.
constexpr uint32_t kElsewhere16 = 0xffff, kElsewhere32 = 0xffffffff;
constexpr uint16_t kZip64Extra = 1;
constexpr uint16_t kEncrypted = 1 | 1 << 6 | 1 << 13;  // flags: the data, strongly, the directory
constexpr uint16_t kStored = 0;

// The number at a place that is known to be inside.
template <class T>
T number(std::span<const std::byte> bytes, uint64_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

constexpr std::array<uint32_t, 256> crc_table() {
  std::array<uint32_t, 256> table = {};
  for (uint32_t byte = 0; byte < table.size(); ++byte) {
    uint32_t crc = byte;
    for (int k = 0; k < 8; ++k) crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
    table[byte] = crc;
  }
  return table;
}

// Sizes and place of an entry as the directory has them, with those of its zip64 field.
struct Sizes {
  uint64_t compressed, size, offset;
};

// Replaces what stands elsewhere by the values of the zip64 field, which come in a fixed order,
// each only where it is needed. False if they are not there.
bool take_zip64(std::span<const std::byte> extra, Sizes* sizes) {
  const std::array<uint64_t*, 3> in_order = {&sizes->size, &sizes->compressed, &sizes->offset};
  const auto elsewhere = [](const uint64_t* value) { return *value == kElsewhere32; };
  if (std::ranges::none_of(in_order, elsewhere)) return true;
  while (extra.size() >= 4) {
    const uint16_t id = number<uint16_t>(extra, 0), length = number<uint16_t>(extra, 2);
    if (length > extra.size() - 4) return false;
    std::span<const std::byte> field = extra.subspan(4, length);
    extra = extra.subspan(4 + static_cast<size_t>(length));
    if (id != kZip64Extra) continue;
    for (uint64_t* value : in_order) {
      if (!elsewhere(value)) continue;
      if (field.size() < 8) return false;
      *value = number<uint64_t>(field, 0);
      field = field.subspan(8);
    }
    return true;
  }
  return false;
}

}  // namespace

uint32_t crc32(std::span<const std::byte> bytes) {
  static constexpr std::array<uint32_t, 256> kTable = crc_table();
  uint32_t crc = 0xffffffffu;
  for (const std::byte b : bytes) crc = crc >> 8 ^ kTable[(crc ^ static_cast<uint32_t>(b)) & 0xff];
  return ~crc;
}

ZipArchive::ZipArchive(std::span<const std::byte> bytes, std::string file)
    : bytes_(bytes), file_(std::move(file)) {
  read_directory(find_directory());
  check_overlaps();
}

const ZipArchive::Entry* ZipArchive::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &entries_[found->second];
}

std::span<const std::byte> ZipArchive::read(const Entry& entry) const {
  HRM_CHECK(crc32(entry.bytes) == entry.crc, "[zip] ", file_, ": entry '", shown(entry.name),
            "' is damaged: its checksum is wrong. HINT: copy the file again; if it was saved with "
            "torch.serialization.set_crc32_options(False), save it again without");
  return entry.bytes;
}

// `size` bytes from `at`, of which neither need be inside.
std::span<const std::byte> ZipArchive::part(uint64_t at, uint64_t size, const char* what) const {
  HRM_CHECK(at <= bytes_.size() && size <= bytes_.size() - at, "[zip] ", file_, ": ", what,
            " at byte ", at, " lies outside the file of ", bytes_.size(), " bytes", kDamaged);
  return bytes_.subspan(at, size);
}

ZipArchive::Directory ZipArchive::find_directory() const {
  HRM_CHECK(bytes_.size() >= kEndSize &&
                number<uint32_t>(bytes_, bytes_.size() - kEndSize) == kEndSignature,
            "[zip] ", file_, " does not end as a zip archive does", kDamaged);
  uint64_t end = bytes_.size() - kEndSize;
  const std::span<const std::byte> last = bytes_.subspan(end);
  HRM_CHECK(number<uint16_t>(last, 4) == 0 && number<uint16_t>(last, 6) == 0 &&
                number<uint16_t>(last, 8) == number<uint16_t>(last, 10),
            "[zip] ", file_, " is one part of an archive in several files", kDamaged);
  HRM_CHECK(number<uint16_t>(last, 20) == 0, "[zip] ", file_, " has a comment behind its end",
            kDamaged);
  Directory directory{number<uint32_t>(last, 16), number<uint32_t>(last, 12),
                      number<uint16_t>(last, 10)};
  if (end >= kLocator64Size &&
      number<uint32_t>(bytes_, end - kLocator64Size) == kLocator64Signature) {
    const Directory small = directory;
    const uint64_t at = number<uint64_t>(bytes_, end - kLocator64Size + 8);
    const auto record = part(at, kEnd64Size, "the zip64 record");
    HRM_CHECK(number<uint32_t>(record, 0) == kEnd64Signature, "[zip] ", file_,
              ": there is no zip64 record at byte ", at, kDamaged);
    directory = {number<uint64_t>(record, 48), number<uint64_t>(record, 40),
                 number<uint64_t>(record, 32)};
    // Where both records tell a number they must agree, or two readers would see two archives.
    const auto agree = [](uint64_t is, uint64_t told, uint64_t elsewhere) {
      return told == elsewhere || told == is;
    };
    HRM_CHECK(agree(directory.offset, small.offset, kElsewhere32) &&
                  agree(directory.size, small.size, kElsewhere32) &&
                  agree(directory.entries, small.entries, kElsewhere16),
              "[zip] ", file_, ": its two end records contradict each other", kDamaged);
    end = at;
  }
  part(directory.offset, directory.size, "the directory");
  HRM_CHECK(directory.offset + directory.size == end, "[zip] ", file_,
            ": its directory ends at byte ", directory.offset + directory.size,
            ", not in front of the end record at byte ", end, kDamaged);
  return directory;
}

void ZipArchive::read_directory(const Directory& directory) {
  const uint64_t end = directory.offset + directory.size;
  uint64_t at = directory.offset;
  while (at < end) {
    const Entry entry = read_entry(at, directory.offset, &at);
    HRM_CHECK(by_name_.emplace(entry.name, entries_.size()).second, "[zip] ", file_,
              ": two entries are named '", shown(entry.name),
              "'. HINT: such a file is made on purpose; do not trust it");
    entries_.push_back(entry);
  }
  HRM_CHECK(at == end && entries_.size() == directory.entries, "[zip] ", file_,
            ": its directory holds ", entries_.size(), " entries, its end record says ",
            directory.entries, kDamaged);
}

// The entry that the directory has at `at`; entries lie in front of `end`, where the directory
// starts.
ZipArchive::Entry ZipArchive::read_entry(uint64_t at, uint64_t end, uint64_t* next) {
  const auto head = part(at, kCentralSize, "an entry of the directory");
  HRM_CHECK(number<uint32_t>(head, 0) == kCentralSignature, "[zip] ", file_,
            ": the directory has no entry at byte ", at, kDamaged);
  const uint64_t name_size = number<uint16_t>(head, 28), extra_size = number<uint16_t>(head, 30),
                 comment_size = number<uint16_t>(head, 32);
  const auto name_bytes = part(at + kCentralSize, name_size, "the name of an entry");
  const auto extra = part(at + kCentralSize + name_size, extra_size, "an extra field");
  *next = at + kCentralSize + name_size + extra_size + comment_size;
  const std::string_view name = text_of(name_bytes);

  const uint16_t flags = number<uint16_t>(head, 8), method = number<uint16_t>(head, 10);
  HRM_CHECK(!(flags & kEncrypted), "[zip] ", file_, ": entry '", shown(name),
            "' is encrypted. HINT: unpack the file with its password and pack it with `zip -0 -r`");
  HRM_CHECK(method == kStored, "[zip] ", file_, ": entry '", shown(name),
            "' is compressed, which torch.save does not do. HINT: unpack the file and pack it with "
            "`zip -0 -r`");
  Sizes sizes{number<uint32_t>(head, 20), number<uint32_t>(head, 24), number<uint32_t>(head, 42)};
  HRM_CHECK(take_zip64(extra, &sizes), "[zip] ", file_, ": entry '", shown(name),
            "' lacks its zip64 sizes", kDamaged);
  HRM_CHECK(sizes.compressed == sizes.size, "[zip] ", file_, ": entry '", shown(name),
            "' is stored and has two sizes, ", sizes.compressed, " and ", sizes.size, kDamaged);
  offsets_.push_back(sizes.offset);
  return {name, locate(name, sizes.offset, sizes.size, end), number<uint32_t>(head, 16)};
}

// The data of an entry whose header is at `offset`. The header repeats what the directory says; of
// that, sizes and checksum may stand behind the data instead and are left alone.
std::span<const std::byte> ZipArchive::locate(std::string_view name, uint64_t offset, uint64_t size,
                                              uint64_t end) const {
  const auto head = part(offset, kLocalSize, "the header of an entry");
  HRM_CHECK(number<uint32_t>(head, 0) == kLocalSignature, "[zip] ", file_, ": entry '", shown(name),
            "' has no header at byte ", offset, kDamaged);
  const uint64_t name_size = number<uint16_t>(head, 26), extra_size = number<uint16_t>(head, 28);
  const auto own_name = part(offset + kLocalSize, name_size, "the name of an entry");
  const bool same = text_of(own_name) == name && number<uint16_t>(head, 8) == kStored &&
                    !(number<uint16_t>(head, 6) & kEncrypted);
  HRM_CHECK(same, "[zip] ", file_, ": entry '", shown(name),
            "' is another one in the directory than in its header at byte ", offset, kDamaged);
  const uint64_t data = offset + kLocalSize + name_size + extra_size;
  HRM_CHECK(data <= end && size <= end - data, "[zip] ", file_, ": entry '", shown(name), "' of ",
            size, " bytes at byte ", data, " reaches beyond byte ", end,
            ", where the directory starts", kDamaged);
  return bytes_.subspan(data, size);
}

// Many entries over the same bytes would be a small file that is large once it is read.
void ZipArchive::check_overlaps() const {
  std::vector<size_t> order(entries_.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, {}, [&](size_t i) { return offsets_[i]; });
  uint64_t end = 0;
  for (const size_t i : order) {
    HRM_CHECK(
        offsets_[i] >= end, "[zip] ", file_, ": entry '", shown(entries_[i].name),
        "' overlaps the one before it. HINT: such a file is made on purpose; do not trust it");
    end =
        static_cast<uint64_t>(entries_[i].bytes.data() - bytes_.data()) + entries_[i].bytes.size();
  }
}

}  // namespace hrm

// Files of tensors: round trips, files written by others, and every way a file can be wrong.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "tensor/io.h"
#include "tensor/random.h"
#include "tests/support/limits.h"
#include "tests/support/npy.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;

namespace {

constexpr DType kDTypes[] = {DType::f32, DType::bf16, DType::f64, DType::i32, DType::u8};

Tensor sample(const Shape& shape, DType dtype) {
  Random random(7);
  return is_floating(dtype) ? random.normal(shape, 1.0).to(dtype)
                            : random.randint(shape, 0, 200).to(dtype);
}

void check_equal(const Tensor& got, const Tensor& want) {
  REQUIRE(got.dtype() == want.dtype());
  REQUIRE(got.shape() == want.shape());
  CHECK(got.to_vector() == want.to_vector());
}

// An 8-byte length, the header, the data.
std::string safetensors(const std::string& header, const std::string& data = "") {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + data;
}
Safetensors parse(const std::string& file) {
  return parse_safetensors(std::as_bytes(std::span(file)), "test.safetensors");
}

Tensor parse_array(const std::string& file) {
  return parse_npy(std::as_bytes(std::span(file)), nullptr, "test.npy");
}

// While it lives, the standard output is a disk that is full.
class FullOutput {
 public:
  FullOutput() {
    std::fflush(stdout);
    before_ = ::dup(STDOUT_FILENO);
    const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
    ::dup2(full, STDOUT_FILENO);
    ::close(full);
  }
  ~FullOutput() {
    ::dup2(before_, STDOUT_FILENO);
    ::close(before_);
  }

 private:
  int before_;
};

}  // namespace

TEST_CASE("safetensors: round trip of every dtype and of odd shapes") {
  const TempDir dir;
  NamedTensors tensors;
  for (DType dtype : kDTypes) {
    const std::string name = name_of(dtype);
    tensors.emplace_back(name + ".scalar", sample({}, dtype));
    tensors.emplace_back(name + ".empty", sample({3, 0, 2}, dtype));
    tensors.emplace_back(name + ".odd", sample({3, 5, 7}, dtype));
    tensors.emplace_back(name + ".view", sample({6, 4}, dtype).transpose(0, 1));
  }
  const std::map<std::string, std::string> metadata = {{"note", "\"quoted\" \xc3\xa4\n"}};
  write_safetensors(dir / "all.safetensors", tensors, metadata);
  CHECK(dir.list() == std::vector<std::string>{"all.safetensors"});

  const Safetensors mapped = read_safetensors(dir / "all.safetensors");
  const std::string text = read_file(dir / "all.safetensors");
  const Safetensors copied = parse(text);
  CHECK(mapped.metadata == metadata);
  for (const Safetensors* file : {&mapped, &copied}) {
    CHECK(file->tensors.size() == tensors.size());
    for (const auto& want : tensors) {
      INFO(want.first);
      const Tensor* found = find(file->tensors, want.first);
      REQUIRE(found);
      check_equal(*found, want.second);
    }
  }
  CHECK(find(mapped.tensors, "absent") == nullptr);
  // The data starts at a multiple of 8, and the widest elements come first.
  uint64_t header;
  std::memcpy(&header, text.data(), 8);
  CHECK(header % 8 == 0);
  for (size_t i = 1; i < mapped.tensors.size(); ++i)
    CHECK(size_of(mapped.tensors[i - 1].second.dtype()) >=
          size_of(mapped.tensors[i].second.dtype()));
}

TEST_CASE("safetensors: an empty file of tensors, foreign dtypes, misaligned data") {
  const TempDir dir;
  write_safetensors(dir / "none", {});
  CHECK(read_safetensors(dir / "none").tensors.empty());
  CHECK(parse(safetensors("{}")).tensors.empty());

  const std::string header = R"({"b":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]},)"
                             R"("i":{"dtype":"I64","shape":[2],"data_offsets":[3,19]},)"
                             R"("f":{"dtype":"F64","shape":[1],"data_offsets":[19,27]}})";
  const std::string file =
      safetensors(header, std::string("\x00\x01\x02", 3) + raw<int64_t>({-2147483648, 2147483647}) +
                              raw<double>({0.1}));
  write_file_atomically(dir / "foreign", file);
  for (const auto& read : {parse(file), read_safetensors(dir / "foreign")}) {
    check_equal(*find(read.tensors, "b"), from_values({0, 1, 1}, {3}, DType::u8));
    check_equal(*find(read.tensors, "i"),
                from_values({-2147483648., 2147483647.}, {2}, DType::i32));
    check_equal(*find(read.tensors, "f"), from_values({0.1}, {1}, DType::f64));
    CHECK(read.tensors[0].first == "b");  // in the order of the file
    CHECK(read.tensors[2].first == "f");
  }
}

TEST_CASE("safetensors: a mapped tensor outlives the file's other handles, writes stay private") {
  const TempDir dir;
  const Path path = dir / "t.safetensors";
  write_safetensors(path, {{"x", full({100}, 2.0)}});
  Tensor x = read_safetensors(path).tensors[0].second;
  std::filesystem::remove(path);
  CHECK(x.to_vector() == std::vector<double>(100, 2.0));
  x.fill(3);
  CHECK(x.to_vector() == std::vector<double>(100, 3.0));
}

TEST_CASE("safetensors: every error names the file, the tensor and the reason") {
  const auto bad = [](const std::string& file, const std::string& message) {
    INFO(message);
    expect_error([&] { parse(file); }, message);
    expect_error([&] { parse(file); }, "test.safetensors");
  };
  const auto one = [](const std::string& dtype, const std::string& shape,
                      const std::string& offsets, size_t data) {
    return safetensors(R"({"w":{"dtype":")" + dtype + R"(","shape":)" + shape +
                           R"(,"data_offsets":)" + offsets + "}}",
                       std::string(data, '\0'));
  };
  bad("", "is truncated: 0 bytes");
  bad("1234567", "is truncated: 7 bytes");
  bad(std::string(8, '\xff') + "{}", "header of 18446744073709551615 bytes in a file of 10");
  bad(safetensors(std::string(100'000'001, ' ')), "at most 100000000 are allowed");
  bad(safetensors(""), "bad header");
  bad(safetensors("{"), "bad header");
  bad(safetensors("{\"\xff\":1}"), "bad header");
  bad(safetensors("[]"), "the header is no JSON object");
  bad(safetensors("{"), "bad header: parse error at line 1");
  bad(safetensors(R"({"w":{"dtype":"F32","dtype":"F32"}})"),
      "two members of a tensor are named 'dtype'");
  bad(safetensors(std::string(100'000, '[')), "the header is nested more than 8 levels deep");
  bad(safetensors(R"({"w":1})"), "tensor 'w': must be a JSON object");
  bad(safetensors(R"({"w":{"shape":[],"data_offsets":[0,4]}})", "1234"), "'dtype' not found");
  bad(safetensors(R"({"w":{"dtype":"F32","data_offsets":[0,4]}})", "1234"), "'shape' not found");
  bad(safetensors(R"({"w":{"dtype":"F32","shape":[]}})", "1234"), "'data_offsets' not found");
  bad(safetensors(R"({"w":{"dtype":4,"shape":[],"data_offsets":[0,4]}})", "1234"),
      "must be string");
  bad(safetensors(R"({"__metadata__":"x"})"), "__metadata__ must be a JSON object");
  bad(safetensors(R"({"__metadata__":{"a":1}})"), "must be string");
  bad(one("F16", "[1]", "[0,2]", 2), "tensor 'w' has dtype F16; supported are F64");
  bad(one("F32", "1", "[0,4]", 4), "shape and data_offsets must be arrays");
  bad(one("F32", "[1.5]", "[0,4]", 4), "must be whole numbers, got 1.5");
  bad(one("F32", "[true]", "[0,4]", 4), "must be whole numbers, got true");
  bad(one("F32", "[18446744073709551615]", "[0,4]", 4), "got 18446744073709551615");
  bad(one("F32", "[-1]", "[0,4]", 4), "has a negative dimension -1");
  bad(one("F32", "[1,1,1,1,1,1,1,1,1,1,1,1]", "[0,4]", 4), "has 12 dimensions; at most");
  bad(one("F32", "[4294967296,4294967296]", "[0,4]", 4), "product is too large");
  bad(one("F32", "[0,4294967296,4294967296]", "[0,0]", 0), "product is too large");
  bad(one("F32", "[2]", "[0,4]", 4), "its shape needs 8 bytes, its offsets hold 4");
  // What a machine of 32 bits could take for 4 bytes.
  const bool narrow = sizeof(size_t) == 4;
  bad(one("F32", "[1073741825]", "[0,4294967300]", 4),
      narrow ? "product is too large" : "lies outside the file");
  bad(one("F32", "[1]", "[4294967296,4294967300]", 4), "leaves a hole before it");
  bad(one("F32", "[1]", "[0]", 4), "data_offsets must be [begin, end]");
  bad(one("F32", "[1]", "[4,0]", 4), "data_offsets must be [begin, end]");
  bad(one("F32", "[1]", "[-4,0]", 4), "data_offsets must be [begin, end]");
  bad(one("F32", "[2]", "[0,8]", 7), "lies outside the file. HINT");
  bad(one("F32", "[1]", "[4,8]", 8), "leaves a hole before it");
  bad(one("F32", "[1]", "[0,4]", 5), "has 1 bytes after its last tensor");
  bad(one("I64", "[1]", "[0,8]", 0) + raw<int64_t>({2147483648}),
      "tensor 'w' holds 2147483648 at element 0, which does not fit 32 bits");
  bad(one("I64", "[2]", "[0,16]", 8) + raw<int64_t>({-2147483649}), "holds -2147483649 at element");
  const std::string w = R"("w":{"dtype":"U8","shape":[2],"data_offsets":[0,2]})";
  bad(safetensors("{" + w + "," + w + "}", "12"), "two tensors are named 'w'");
  bad(safetensors("{" + w + R"(,"v":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})", "123"),
      "tensor 'v' overlaps the one before it");
}

TEST_CASE("safetensors: what cannot be written is refused before a file exists") {
  const TempDir dir;
  const Tensor x = zeros({2});
  const auto refused = [&](const NamedTensors& tensors, const std::string& message,
                           const std::map<std::string, std::string>& metadata = {}) {
    expect_error([&] { write_safetensors(dir / "f", tensors, metadata); }, message);
    CHECK(dir.list().empty());
  };
  refused({{"a", x}, {"a", x}}, "two tensors are named 'a'");
  refused({{"a", Tensor()}}, "tensor 'a' is undefined");
  refused({{"__metadata__", x}}, "no tensor may be named __metadata__");
  refused({{"\xff", x}}, "names and metadata must be UTF-8");
  refused({{"a", x}}, "names and metadata must be UTF-8", {{"k", "\xff"}});
}

TEST_CASE("npy: round trip, and the bytes NumPy writes") {
  const TempDir dir;
  for (DType dtype : {DType::f32, DType::f64, DType::i32, DType::u8})
    for (const Shape& shape : {Shape{}, Shape{5}, Shape{0}, Shape{3, 4}, Shape{2, 3, 1, 5}}) {
      const Tensor x = sample(shape, dtype);
      write_npy(dir / "x.npy", x);
      check_equal(read_npy(dir / "x.npy"), x);
      const std::string text = read_file(dir / "x.npy");
      check_equal(parse_array(text), x);
      CHECK((text.size() - x.nbytes()) % 64 == 0);
    }
  write_npy(dir / "t.npy", sample({6, 4}, DType::f32).transpose(0, 1));
  check_equal(read_npy(dir / "t.npy"), sample({6, 4}, DType::f32).transpose(0, 1));

  write_npy(dir / "v.npy", from_values({1, 2, 3}, {3}, DType::i32));
  std::string header = "{'descr': '<i4', 'fortran_order': False, 'shape': (3,), }";
  header.resize(117, ' ');
  CHECK(read_file(dir / "v.npy") == npy(header + '\n', raw<int32_t>({1, 2, 3})));

  expect_error([&] { write_npy(dir / "b.npy", sample({2}, DType::bf16)); },
               "[npy] npy has no bf16. HINT: convert to f32 first");
  CHECK(dir.list() == std::vector<std::string>{"t.npy", "v.npy", "x.npy"});
}

TEST_CASE("npy: format versions, i64, bool, and files that are mapped") {
  const std::string three = raw<int64_t>({1, -5, 7});
  for (int version : {1, 2, 3})
    check_equal(parse_array(npy(npy_header("<i8", "(3,)"), three, version)),
                from_values({1, -5, 7}, {3}, DType::i32));
  check_equal(parse_array(npy(npy_header("|b1", "(2, 2)"), std::string("\0\1\1\0", 4))),
              from_values({0, 1, 1, 0}, {2, 2}, DType::u8));
  check_equal(parse_array(npy("{'shape': ( 2 ,1 ), 'fortran_order': False, 'descr': '<f4'}",
                              raw<float>({1, 2}))),
              from_values({1, 2}, {2, 1}));

  const TempDir dir;
  write_npy(dir / "big.npy", zeros({1 << 20}, DType::u8));
  const size_t before = allocator_stats().in_use;
  const Tensor big = read_npy(dir / "big.npy");
  CHECK(allocator_stats().in_use == before);  // no copy
  CHECK(big.numel() == 1 << 20);
}

TEST_CASE("npy: every error names the file and the reason") {
  const auto bad = [](const std::string& file, const std::string& message) {
    INFO(message);
    expect_error([&] { parse_array(file); }, message);
    expect_error([&] { parse_array(file); }, "test.npy");
  };
  const std::string data = raw<float>({1, 2});
  bad("", "is not an npy file");
  bad("PK\x03\x04 this is a zip file", "is not an npy file");
  bad(npy(npy_header("<f4", "(2,)"), data, 4), "has format version 4; supported are 1 to 3");
  bad(npy("", "", 2).substr(0, 11), "is truncated in its header");
  bad(npy(npy_header("<f4", "(2,)")).substr(0, 40), "is truncated in its header");
  bad(npy("{'descr': '<f4', 'shape': (2,)}", data), "has no 'fortran_order' in its header");
  bad(npy("{'descr': '<f4', 'fortran_order': False}", data), "has no 'shape' in its header");
  bad(npy("{'fortran_order': False, 'shape': (2,)}", data), "has no 'descr' in its header");
  bad(npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2,)}", data),
      "is in Fortran order. HINT: save it with np.ascontiguousarray");
  bad(npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}", data),
      "has an unsupported 'descr'");
  bad(npy(npy_header(">f4", "(2,)"), data), "has dtype '>f4'; supported are");
  bad(npy(npy_header("<f2", "(4,)"), data), "has dtype '<f2'; supported are");
  bad(npy(npy_header("|O", "(4,)"), data), "has dtype '|O'; supported are");
  bad(npy(npy_header("<f4", "2"), data), "has a damaged shape");
  bad(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,", data), "has a damaged shape");
  bad(npy(npy_header("<f4", "(2 2)"), data), "has a damaged shape");
  bad(npy(npy_header("<f4", "(2,,1)"), data), "has a damaged shape");
  bad(npy(npy_header("<f4", "(two,)"), data), "has a damaged shape");
  bad(npy(npy_header("<f4", "(-2,)"), data), "has a negative dimension -2");
  bad(npy(npy_header("<f4", "(99999999999999999999,)"), data), "has a dimension that is too large");
  bad(npy(npy_header("<f4", "(4294967296, 4294967296)"), data), "product is too large");
  bad(npy(npy_header("<f4", "(1,1,1,1,1,1,1,1,1,1,1,1)"), data), "has 12 dimensions; at most");
  bad(npy(npy_header("<f4", "(3,)"), data), "needs 12 bytes of data for its shape, has 8. HINT");
  bad(npy(npy_header("<f4", "(1,)"), data), "needs 4 bytes of data for its shape, has 8. HINT");
  bad(npy(npy_header("<i8", "(1,)"), raw<int64_t>({1LL << 40})),
      "holds 1099511627776 at element 0, which does not fit 32 bits");
}

TEST_CASE("io: a file cut off at any byte is an error, one wrong byte never a crash") {
  const TempDir dir;
  write_safetensors(dir / "s", {{"a", sample({3, 2}, DType::f32)}, {"b", sample({3}, DType::u8)}});
  write_npy(dir / "n", sample({3, 2}, DType::i32));
  const std::string tensors = read_file(dir / "s"), array = read_file(dir / "n");
  for (size_t n = 0; n < tensors.size(); ++n) CHECK_THROWS_AS(parse(tensors.substr(0, n)), Error);
  for (size_t n = 0; n < array.size(); ++n) CHECK_THROWS_AS(parse_array(array.substr(0, n)), Error);
  for (size_t at = 0; at < std::max(tensors.size(), array.size()); ++at)
    for (int flip : {0x01, 0x10, 0x80, 0xff}) {
      std::string s = tensors, a = array;
      if (at < s.size()) s[at] = static_cast<char>(s[at] ^ flip);
      if (at < a.size()) a[at] = static_cast<char>(a[at] ^ flip);
      try {
        parse(s);
      } catch (const Error&) {
      }
      try {
        parse_array(a);
      } catch (const Error&) {
      }
    }
}

TEST_CASE("io: what cannot be opened") {
  const TempDir dir;
  const std::string absent = (dir / "absent").string();
  expect_error([&] { read_npy(absent); }, "cannot open " + absent + ": No such file or directory");
  expect_error([&] { read_safetensors(absent); }, "cannot open " + absent);
  expect_error([&] { read_file(absent); }, "cannot open " + absent);
  expect_error([&] { read_npy(dir.path()); }, "is not a regular file");
  REQUIRE(::mkfifo((dir / "pipe").c_str(), 0600) == 0);
  expect_error([&] { read_npy(dir / "pipe"); }, "is not a regular file");
  // The kernel's own files have a size, and can be read but not mapped.
  const Path settings = "/sys/devices/system/cpu/online";
  if (std::filesystem::exists(settings))
    expect_error([&] { read_file(settings); }, "[read] cannot map " + settings.string() + ": ");
  std::ofstream(dir / "empty").close();
  CHECK(read_file(dir / "empty").empty());
  expect_error([&] { read_npy(dir / "empty"); }, "is not an npy file");
  expect_error([&] { read_safetensors(dir / "empty"); }, "is truncated: 0 bytes");
}

TEST_CASE("io: atomic writes") {
  const TempDir dir;
  write_file_atomically(dir / "f", std::string("first"));
  write_file_atomically(dir / "f", std::string("second"));
  CHECK(read_file(dir / "f") == "second");
  write_file_atomically(dir / "f", std::string());
  CHECK(read_file(dir / "f").empty());
  CHECK(dir.list() == std::vector<std::string>{"f"});

  const std::string lost = (dir / "no_folder" / "f").string();
  expect_error([&] { write_file_atomically(lost, std::string("x")); },
               "cannot create " + lost + ".tmp: No such file or directory");
  std::filesystem::create_directories(dir / "folder/inside");
  expect_error([&] { write_file_atomically(dir / "folder", std::string("x")); }, "cannot rename");
  CHECK(dir.list() == std::vector<std::string>{"f", "folder"});
  std::filesystem::create_directory(dir / "f.tmp");
  expect_error([&] { write_file_atomically(dir / "f", std::string("x")); },
               "[write] cannot replace " + (dir / "f.tmp").string() + ": Is a directory");
  CHECK(dir.list() == std::vector<std::string>{"f", "f.tmp", "folder"});
}

TEST_CASE("io: a full disk leaves the old file as it was and nothing beside it") {
  const TempDir dir;
  write_npy(dir / "x.npy", zeros({4}));
  const Tensor large = zeros({1 << 16});
  {
    const FullDisk full(1 << 17);
    expect_error([&] { write_npy(dir / "x.npy", large); }, "x.npy: File too large");
    expect_error([&] { write_npy(dir / "y.npy", large); }, "[write] cannot write");
    expect_error([&] { write_safetensors(dir / "z", {{"w", large}}); }, "[write] cannot write");
  }
  CHECK(dir.list() == std::vector<std::string>{"x.npy"});
  check_equal(read_npy(dir / "x.npy"), zeros({4}));
}

TEST_CASE("io: rows that cannot be written are an error, at the row or at the end") {
  const TempDir dir;
  const std::vector<uint8_t> large(1 << 16), small(8);
  const auto write = [&](const char* name, const std::vector<uint8_t>& row) {
    NpyWriter writer(dir / name, DType::u8, std::ssize(row));
    writer.append(row.data());
    writer.finish();
  };
  std::filesystem::create_symlink("/dev/full", dir / "full");
  // More than the stream keeps for later, and less.
  for (const auto& row : {large, small})
    expect_error([&] { write("full", row); }, "full: No space left on device");
  expect_error([&] { write("none/x.npy", small); }, "none/x.npy: No such file or directory");
  expect_error([&] { NpyWriter(dir / "none/x.npy", DType::u8, 8).finish(); },
               "[write] cannot create " + (dir / "none/x.npy").string());
  write("x.npy", small);
  check_equal(read_npy(dir / "x.npy"), zeros({1, 8}, DType::u8));
}

TEST_CASE("io: no permission") {
  if (::geteuid() == 0) SKIP("root may write everywhere");
  const TempDir dir;
  write_npy(dir / "x.npy", zeros({4}));
  ::chmod((dir / "x.npy").c_str(), 0);
  expect_error([&] { read_npy(dir / "x.npy"); }, "Permission denied");
  ::chmod(dir.path().c_str(), 0500);
  expect_error([&] { write_npy(dir / "y.npy", zeros({4})); }, "Permission denied");
  ::chmod(dir.path().c_str(), 0700);
}

TEST_CASE("io: name_hash is FNV-1a; any letter moves its lower half") {
  CHECK(name_hash("") == 0xcbf29ce484222325u);
  CHECK(name_hash("foobar") == 0x85944171f73967e8u);  // a published value
  for (size_t i = 0; i < 16; ++i) {
    std::string name = "00576224_t3_0376";
    const auto before = static_cast<uint32_t>(name_hash(name));
    ++name[i];
    CHECK(static_cast<uint32_t>(name_hash(name)) != before);
  }
}

TEST_CASE("io: checksum sees every bit, the order of the words and the length") {
  const auto sum = [](const std::string& text) { return checksum(std::as_bytes(std::span(text))); };
  for (const std::string text :
       {"exactly nineteen by", "and forty-four, which needs all of its lanes"})
    for (size_t i = 0; i < text.size() * 8; ++i) {
      std::string flipped = text;
      flipped[i / 8] = static_cast<char>(flipped[i / 8] ^ (1 << i % 8));
      CHECK(sum(flipped) != sum(text));
    }
  CHECK(sum("1234567887654321") != sum("8765432112345678"));
  CHECK(sum("") != sum(std::string(1, '\0')));
  CHECK(sum(std::string(31, '\0')) != sum(std::string(32, '\0')));
}

TEST_CASE("io: checksum sees flips in pairs, such as the signs of two weights") {
  std::vector<uint64_t> words(512);
  Random random(3);
  for (uint64_t& word : words) word = static_cast<uint64_t>(random.below(int64_t{1} << 62)) << 1;
  const auto sum = [&] { return checksum(std::as_bytes(std::span(words))); };
  const uint64_t whole = sum();
  int missed = 0;
  for (int i = 0; i < 2000; ++i) {
    const int64_t a = random.below(512), b = (a + 1 + random.below(511)) % 512;
    const int64_t bit = i < 1000 ? 63 : random.below(64);  // the same one in both words
    words[a] ^= uint64_t{1} << bit;
    words[b] ^= uint64_t{1} << bit;
    missed += sum() == whole;
    words[a] ^= uint64_t{1} << bit;
    words[b] ^= uint64_t{1} << bit;
  }
  CHECK(missed == 0);
  // One stuck line: the sign of every second float.
  for (uint64_t& word : words) word ^= uint64_t{1} << 63;
  CHECK(sum() != whole);
}

TEST_CASE("io: the program's own files replace links, and never follow them") {
  const TempDir dir;
  write_file_atomically(dir / "victim", std::string("thesis"));
  for (const char* link : {"page", "page.tmp"}) {
    std::filesystem::remove(dir / "page");
    std::filesystem::create_symlink(dir / "victim", dir / link);
    write_file_atomically(dir / "page", std::string("html"));
    CHECK(read_file(dir / "victim") == "thesis");
    CHECK(read_file(dir / "page") == "html");
    CHECK_FALSE(std::filesystem::is_symlink(dir / "page"));
  }
}

TEST_CASE("io: what the user names is written to, not replaced") {
  const TempDir dir;
  // A link stays a link, also one that leads nowhere yet.
  for (const char* name : {"target", "missing"}) {
    const Path link = dir / (std::string(name) + ".link");
    if (*name == 't') write_file_atomically(dir / name, std::string("old"));
    std::filesystem::create_symlink(name, link);
    write_output(link, std::string("new"));
    CHECK(std::filesystem::is_symlink(link));
    CHECK(read_file(dir / name) == "new");
  }
  // A pipe hands on what is written.
  REQUIRE(::mkfifo((dir / "pipe").c_str(), 0600) == 0);
  std::string received;
  std::thread reader([&] {
    std::ifstream in(dir / "pipe");
    std::getline(in, received);
  });
  write_output(dir / "pipe", std::string("through\n"));
  reader.join();
  CHECK(received == "through");
  CHECK(std::filesystem::is_fifo(dir / "pipe"));
  // A device that is full says so and is still a device.
  std::filesystem::create_symlink("/dev/full", dir / "full");
  expect_error([&] { write_output(dir / "full", std::string("x")); }, "No space left on device");
  CHECK(std::filesystem::is_character_file("/dev/full"));
  expect_error([&] { write_output(dir.path(), std::string("x")); }, "it is a folder");
  REQUIRE(::mknod((dir / "socket").c_str(), S_IFSOCK | 0600, 0) == 0);
  expect_error([&] { write_output(dir / "socket", std::string("x")); },
               "[write] cannot open " + (dir / "socket").string() + ": No such device or address");
  const auto to_full_output = [] {
    const FullOutput full;
    write_output("-", std::string("x"));
  };
  expect_error(to_full_output, "[write] cannot write to standard output: No space left on device");
}

TEST_CASE("io: arrays of the official data-set builder") {
  const Path folder = test::reference_dir() / "official_dataset_arc" / "train";
  if (!std::filesystem::exists(folder)) SKIP("no folder " << folder.string());
  const TempDir dir;
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".npy") continue;
    INFO(entry.path().string());
    const Tensor x = read_npy(entry.path());
    CHECK(!is_floating(x.dtype()));
    write_npy(dir / "copy.npy", x);
    check_equal(read_npy(dir / "copy.npy"), x);
    ++files;
  }
  CHECK(files == 5);
  const Tensor inputs = read_npy(folder / "all__inputs.npy");
  const Tensor labels = read_npy(folder / "all__labels.npy");
  CHECK(inputs.shape() == labels.shape());
  CHECK(inputs.size(1) == 900);
}

TEST_CASE("io: recorded tensors of the reference implementation") {
  const Path folder = test::reference_dir() / "hrm_train";
  if (!std::filesystem::exists(folder)) SKIP("no folder " << folder.string());
  const TempDir dir;
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().filename() != "weights_init.safetensors") continue;
    INFO(entry.path().string());
    const Safetensors file = read_safetensors(entry.path());
    CHECK(!file.tensors.empty());
    write_safetensors(dir / "copy", file.tensors, file.metadata);
    const Safetensors copy = read_safetensors(dir / "copy");
    CHECK(copy.metadata == file.metadata);
    REQUIRE(copy.tensors.size() == file.tensors.size());
    for (const auto& [name, tensor] : file.tensors) {
      const Tensor* found = find(copy.tensors, name);
      REQUIRE(found);
      check_equal(*found, tensor);
    }
    ++files;
  }
  CHECK(files > 0);
}

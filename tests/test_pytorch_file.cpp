// Checkpoints of PyTorch: what torch.save writes, and every way in which such a file can be wrong.
#include <cmath>

#include "hrm/train/checkpoint.h"
#include "hrm/train/loaded_run.h"
#include "hrm/train/official_weights.h"
#include "tensor/pickle.h"
#include "tensor/pytorch_file.h"
#include "tensor/zip_archive.h"
#include "tests/support/checkpoint.h"
#include "tests/support/npy.h"
#include "tests/support/support.h"

namespace hrm {
namespace {

using namespace test;
using namespace test::pickled;

using Values = std::vector<double>;

NamedTensors parse(const std::string& file) {
  return parse_pytorch(std::as_bytes(std::span(file)), "test.pt");
}

// {"x": tensor} with one storage.
NamedTensors read_view(const View& view, const std::string& data) {
  return parse(checkpoint(dict({{"x", tensor(view)}}), {data}));
}

void refused(const std::string& file, const std::string& message) {
  expect_error([&] { parse(file); }, message);
}

const std::string floats = raw<float>({0, 1, 2, 3, 4, 5});
const View matrix = {storage("FloatStorage", 6), {2, 3}, {3, 1}};

// --- files that are right

TEST_CASE("pytorch: every element type, and what becomes of it") {
  const auto is = [](const std::string& type, const std::string& data, DType dtype,
                     const Values& values) {
    INFO(type);
    const int64_t n = std::ssize(values);
    const NamedTensors tensors = read_view({storage(type, n), {n}, {1}}, data);
    REQUIRE(tensors.size() == 1);
    CHECK(tensors[0].first == "x");
    CHECK(tensors[0].second.dtype() == dtype);
    CHECK(tensors[0].second.to_vector() == values);
  };
  is("FloatStorage", raw<float>({1.5f, -2}), DType::f32, {1.5, -2});
  is("DoubleStorage", raw<double>({0.1, -2}), DType::f64, {0.1, -2});
  is("BFloat16Storage", raw<uint16_t>({0x3f80, 0xc000}), DType::bf16, {1, -2});
  is("LongStorage", raw<int64_t>({-2147483648, 2147483647}), DType::i32, {-2147483648, 2147483647});
  is("IntStorage", raw<int32_t>({-7, 8}), DType::i32, {-7, 8});
  is("ShortStorage", raw<int16_t>({-32768, 32767}), DType::i32, {-32768, 32767});
  is("CharStorage", raw<int8_t>({-128, 127}), DType::i32, {-128, 127});
  is("ByteStorage", raw<uint8_t>({0, 255}), DType::u8, {0, 255});
  is("BoolStorage", raw<uint8_t>({0, 1, 2}), DType::u8, {0, 1, 1});
}

TEST_CASE("pytorch: float16 becomes f32 exactly, to the smallest and the largest") {
  const std::vector<uint16_t> bits = {0x0000, 0x0001, 0x03ff, 0x0400, 0x3c00, 0x3555,
                                      0x7bff, 0xc000, 0x8000, 0x7c00, 0xfc00, 0x7e00};
  const View view = {storage("HalfStorage", std::ssize(bits)), {std::ssize(bits)}, {1}};
  const Values got = read_view(view, raw(bits))[0].second.to_vector();
  const Values want = {0,
                       std::ldexp(1, -24),
                       std::ldexp(1023, -24),
                       std::ldexp(1, -14),
                       1,
                       std::ldexp(0x555, -12),
                       65504,
                       -2};
  REQUIRE(got.size() == bits.size());
  for (size_t i = 0; i < want.size(); ++i) CHECK(got[i] == want[i]);
  CHECK(std::signbit(got[8]));
  CHECK(got[9] == HUGE_VAL);
  CHECK(got[10] == -HUGE_VAL);
  CHECK(std::isnan(got[11]));
}

TEST_CASE("pytorch: views are made contiguous") {
  const std::string six = storage("FloatStorage", 6);
  const auto values = [&](const View& view) {
    return read_view(view, floats)[0].second.to_vector();
  };
  CHECK(values(matrix) == Values{0, 1, 2, 3, 4, 5});
  CHECK(values({six, {3, 2}, {1, 3}}) == Values{0, 3, 1, 4, 2, 5});     // transposed
  CHECK(values({six, {2, 2}, {3, 1}, 1}) == Values{1, 2, 4, 5});        // the last columns
  CHECK(values({six, {3}, {2}}) == Values{0, 2, 4});                    // every other one
  CHECK(values({six, {2, 3}, {0, 1}, 3}) == Values{3, 4, 5, 3, 4, 5});  // expanded
  CHECK(values({six, {}, {}, 4}) == Values{4});
  CHECK(values({six, {2, 1, 3}, {3, INT64_MAX, 1}}) == Values{0, 1, 2, 3, 4, 5});
  CHECK(values({six, {1, 2}, {INT64_MAX, 2}, 3}) == Values{3, 5});
  const Tensor empty = read_view({six, {2, 0, 3}, {3, 3, 1}, 6}, floats)[0].second;
  CHECK(empty.shape() == Shape{2, 0, 3});
  const Tensor nothing = read_view({storage("FloatStorage", 0), {0}, {1}}, "")[0].second;
  CHECK(nothing.shape() == Shape{0});
  // Other sizes of elements take another way.
  const auto turned = [](const std::string& type, const std::string& data) {
    INFO(type);
    const Tensor tensor = read_view({storage(type, 4), {2, 2}, {1, 2}}, data)[0].second;
    CHECK(tensor.to_vector() == Values{1, 3, 2, 4});
  };
  turned("DoubleStorage", raw<double>({1, 2, 3, 4}));
  turned("IntStorage", raw<int32_t>({1, 2, 3, 4}));
  turned("BFloat16Storage", raw<uint16_t>({0x3f80, 0x4000, 0x4040, 0x4080}));
  turned("HalfStorage", raw<uint16_t>({0x3c00, 0x4000, 0x4200, 0x4400}));
  turned("ByteStorage", raw<uint8_t>({1, 2, 3, 4}));
  turned("LongStorage", raw<int64_t>({1, 2, 3, 4}));
}

TEST_CASE("pytorch: a file is mapped, and tensors share their storage as they did") {
  const TempDir dir;
  const std::string six = storage("FloatStorage", 6);
  const std::string value = dict({{"all", tensor(matrix)},
                                  {"row", tensor({six, {3}, {1}, 3})},
                                  {"column", tensor({six, {2}, {3}, 1})}});
  // With the storage at every distance from a multiple of 8.
  std::vector<std::string> files = {checkpoint(value, {floats})};
  for (size_t shift = 1; shift <= 8; ++shift) {
    std::vector<ZipEntry> entries = checkpoint_entries(value, {floats});
    entries.insert(entries.begin(), {std::string(shift, 'f'), ""});
    for (ZipEntry& entry : entries) entry.align = 1;
    files.push_back(zip(entries));
  }
  for (const std::string& file : files) {
    write_text(dir / "a.pt", file);
    NamedTensors tensors = read_pytorch(dir / "a.pt");
    REQUIRE(tensors.size() == 3);
    CHECK(tensors[0].second.storage().same_as(tensors[1].second.storage()));
    CHECK(reinterpret_cast<uintptr_t>(tensors[0].second.data()) % 8 == 0);
    CHECK(tensors[1].second.to_vector() == Values{3, 4, 5});
    CHECK(tensors[2].second.to_vector() == Values{1, 4});
    tensors[1].second.fill(9);
    CHECK(tensors[0].second.to_vector() == Values{0, 1, 2, 9, 9, 9});
    CHECK(tensors[2].second.to_vector() == Values{1, 4});
    CHECK(read_file(dir / "a.pt") == file);
  }
}

TEST_CASE("pytorch: names are paths; what is no tensor is passed over") {
  const std::string x = tensor(matrix);
  const std::string metadata =
      dict({{"_metadata", ordered_dict({{"", dict({{"version", "K\1"}})}})}});
  const std::string state = ordered_dict({{"a.weight", x}}) + metadata + "b";
  const std::string numbers = "}" + integer(0) + dict({{"exp_avg", x}}) + "s" + integer(-70000) +
                              x + "s" + tuple({"K\1"}) + x + "s";
  const std::string value = dict({{"model", state},
                                  {"step", integer(3)},
                                  {"lr", "G" + std::string(8, '\0')},
                                  {"name", text("run")},
                                  {"none", "N"},
                                  {"yes", "\x88"},
                                  {"list", "](" + integer(1) + x + "e"},
                                  {"one", "]" + integer(1) + "a"},
                                  {"big", "\x8a\x0a" + std::string(10, '\1')},
                                  {"bytes",
                                   "C\x03"
                                   "abc"},
                                  {"size", call(global("torch", "Size"), {integers({1})})},
                                  {"type", global("torch", "float32")},
                                  {"optimizer", dict({{"state", numbers}})}});
  const NamedTensors tensors = parse(checkpoint(value, {floats}));
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors) names.push_back(name);
  CHECK(names == std::vector<std::string>{"model.a.weight", "optimizer.state.0.exp_avg",
                                          "optimizer.state.-70000"});
  CHECK(parse(checkpoint("}", {})).empty());
}

TEST_CASE("pytorch: parameters, attributes, torch.Size and the type as an argument") {
  const std::string x = tensor(matrix);
  const std::string utils = "torch._utils";
  const std::string plain = global(utils, "_rebuild_tensor_v2");
  View sized = matrix;
  std::vector<std::string> with_size = arguments(sized);
  with_size[2] = call(global("torch", "Size"), {integers({2, 3})});
  with_size.push_back("N");  // no metadata
  std::vector<std::string> typed = arguments(matrix);
  typed[0] = tuple({text("storage"), global("torch.storage", "UntypedStorage"), text("0"),
                    text("cpu"), integer(24)}) +
             "Q";
  typed.push_back(global("torch", "float32"));
  const std::string value =
      dict({{"parameter", call(global(utils, "_rebuild_parameter"), {x, "\x88", ordered_dict({})})},
            {"state", call(global(utils, "_rebuild_parameter_with_state"),
                           {x, "\x88", ordered_dict({}), dict({{"kind", integer(1)}})})},
            {"attributes", call(global("torch._tensor", "_rebuild_from_type_v2"),
                                {plain, global("torch", "Tensor"), tuple(arguments(matrix)), "}"})},
            {"size", call(plain, with_size)},
            {"typed", call(global(utils, "_rebuild_tensor_v3"), typed)}});
  const NamedTensors tensors = parse(checkpoint(value, {floats}));
  REQUIRE(tensors.size() == 5);
  for (const auto& read : tensors) {
    INFO(read.first);
    CHECK(read.second.shape() == Shape{2, 3});
    CHECK(read.second.to_vector() == Values{0, 1, 2, 3, 4, 5});
  }
}

TEST_CASE("pytorch: protocol 4, with frames, short texts and a memo without numbers") {
  const auto brief = [](const std::string& value) {
    return "\x8c" + std::string(1, static_cast<char>(value.size())) + value + "\x94";
  };
  const auto named = [&](const std::string& module, const std::string& name) {
    return brief(module) + brief(name) + "\x93\x94";
  };
  const std::string id = "(" + brief("storage") + named("torch", "FloatStorage") + "\x8d" + u64(1) +
                         "0" + brief("cpu") + "K\x06tQ";
  const std::string sizes = integers({2, 3}) + "r" + u32(1 << 16), strides = integers({3, 1});
  // The first value of the memo is the dictionary, the second one the text x, and the third one the
  // text torch._utils.
  const std::string body = "}\x94" + brief("x") + named("torch._utils", "_rebuild_tensor_v2") +
                           "(" + id + integer(0) + sizes + strides + "\x89}tRs" + "h\2j" +
                           u32(1 << 16) + "s.";
  std::vector<ZipEntry> entries = checkpoint_entries("", {floats});
  entries[0].data = "\x80\x04\x95" + u64(body.size()) + body;
  const NamedTensors tensors = parse(zip(entries));
  REQUIRE(tensors.size() == 1);
  CHECK(tensors[0].first == "x");
  CHECK(tensors[0].second.to_vector() == Values{0, 1, 2, 3, 4, 5});
}

TEST_CASE("pytorch: zip64 sizes, archives without zip64, folders, any name of the top folder") {
  std::vector<ZipEntry> entries = checkpoint_entries(dict({{"x", tensor(matrix)}}), {floats});
  const auto is_read = [&](const ZipEnd& end) {
    CHECK(parse(zip(entries, end))[0].second.to_vector() == Values{0, 1, 2, 3, 4, 5});
  };
  is_read({.zip64 = false});
  for (ZipEntry& entry : entries) entry.zip64 = true;
  is_read({});
  ZipEnd saturated;
  saturated.small_size = 0xffffffff;
  is_read(saturated);
  for (ZipEntry& entry : entries) entry.name.replace(0, 7, "step 7");
  entries.push_back({"step 7/", ""});
  entries.push_back({"step 7/.data/serialization_id", "1"});
  entries.push_back({"step 7/deep/data.pkl", "1"});
  is_read({});
}

// The bytes that Python's own pickler and zip writer made (tests/support/torch_file.py).
TEST_CASE("pytorch: a checkpoint of the official names, from Python") {
  const Path file = "tests/fixtures/pytorch/official.pt";
  const NamedTensors tensors = read_official_weights(file);
  const auto is = [&](const std::string& name, DType dtype, const Shape& shape,
                      const Values& values) {
    INFO(name);
    const Tensor* tensor = find(tensors, "model.inner." + name);
    REQUIRE(tensor);
    CHECK(tensor->dtype() == dtype);
    CHECK(tensor->shape() == shape);
    CHECK(tensor->to_vector() == values);
  };
  CHECK(tensors.size() == 6);
  CHECK(read_pytorch(file)[0].first == "_orig_mod.model.inner.H_init");
  is("H_init", DType::bf16, {2}, {1, -2});
  is("L_init", DType::f32, {2}, {1.5, -0.25});
  is("lm_head.weight", DType::f32, {3, 4}, {0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5});
  is("q_head.weight", DType::f32, {4, 2}, {2, 4, 2.5, 4.5, 3, 5, 3.5, 5.5});
  is("q_head.bias", DType::f64, {2}, {-5, -5});
  is("puzzle_emb.local_ids", DType::i32, {3}, {3, 1, 2});
}

// --- archives that are wrong

std::vector<ZipEntry> good_entries() {
  return checkpoint_entries(dict({{"x", tensor(matrix)}}), {floats});
}

TEST_CASE("pytorch: archives that are cut off, lengthened or made of parts") {
  const std::string file = zip(good_entries());
  CHECK(parse(file).size() == 1);
  refused("", "is no file of PyTorch");
  refused("PK\x03\x04", "does not end as a zip archive does");
  for (size_t size = 4; size < file.size(); ++size)
    expect_error([&] { parse(file.substr(0, size)); }, "does not end as a zip archive does");
  refused(file + "\n", "does not end as a zip archive does");
  ZipEnd end;
  end.disk = 1;
  refused(zip(good_entries(), end), "is one part of an archive in several files");
  // A comment puts the end record elsewhere, unless it is one itself.
  end = {};
  end.comment = "PK\x05\x06" + std::string(16, '\0') + u16(7);
  refused(zip(good_entries(), end), "has a comment behind its end");
}

TEST_CASE("pytorch: end records that are wrong") {
  const auto with = [](const std::function<void(ZipEnd&)>& change) {
    ZipEnd end;
    change(end);
    return zip(good_entries(), end);
  };
  refused(with([](ZipEnd& e) { e.record_at = UINT64_MAX; }), "the zip64 record at byte 1844674407");
  refused(with([](ZipEnd& e) { e.record_at = 1; }), "there is no zip64 record at byte 1");
  refused(with([](ZipEnd& e) { e.small_size = 3; }), "its two end records contradict each other");
  refused(with([](ZipEnd& e) { e.directory_offset = 1 << 20; }),
          "the directory at byte 1048576 lies");
  refused(with([](ZipEnd& e) { e.directory_size = 1 << 20; }), "lies outside the file");
  refused(with([](ZipEnd& e) { e.between = "x"; }), "not in front of the end record");
  refused(with([](ZipEnd& e) { e.entries = 3; }), "holds 4 entries, its end record says 3");
  refused(with([](ZipEnd& e) {
            e.zip64 = false;
            e.entries = 5;
          }),
          "holds 4 entries, its end record says 5");
}

TEST_CASE("pytorch: entries that are wrong") {
  const auto with = [](size_t i, const std::function<void(ZipEntry&)>& change) {
    std::vector<ZipEntry> entries = good_entries();
    change(entries.at(i));
    return zip(entries);
  };
  refused(with(2, [](ZipEntry& e) { e.name = e.local_name.emplace("archive/data.pkl"); }),
          "two entries are named 'archive/data.pkl'");
  refused(with(2, [](ZipEntry& e) { e.flags |= 1; }), "entry 'archive/data/0' is encrypted");
  refused(with(2, [](ZipEntry& e) { e.method = 8; }), "entry 'archive/data/0' is compressed");
  refused(with(2, [](ZipEntry& e) { e.size = 0xffffffff; }),
          "'archive/data/0' lacks its zip64 sizes");
  for (const std::string& extra : {u16(1) + u16(24) + u64(24), u16(1) + u16(8) + u64(24),
                                   u16(2) + u16(0), std::string("x"), std::string()})
    refused(with(2,
                 [&](ZipEntry& e) {
                   e.zip64 = true;
                   e.extra = extra;
                 }),
            "'archive/data/0' lacks its zip64 sizes");
  refused(with(2, [](ZipEntry& e) { e.compressed = 5; }), "is stored and has two sizes, 5 and 24");
  refused(with(2, [](ZipEntry& e) { e.offset = 1 << 30; }),
          "the header of an entry at byte 1073741824");
  refused(with(2, [](ZipEntry& e) { e.offset = 1; }), "'archive/data/0' has no header at byte 1");
  refused(with(2, [](ZipEntry& e) { e.local_name = "archive/data/1"; }),
          "is another one in the directory");
  refused(with(2, [](ZipEntry& e) { e.size = 1 << 20; }),
          "'archive/data/0' of 1048576 bytes at byte");
  refused(with(2,
               [](ZipEntry& e) {
                 e.zip64 = true;
                 e.size = UINT64_MAX;
               }),
          "where the directory starts");
  refused(with(1, [](ZipEntry& e) { e.size = 100; }),
          "entry 'archive/data/0' overlaps the one before");
  refused(with(3,
               [](ZipEntry& e) {
                 e.name = std::string("a\n\x1b", 3);
                 e.method = 8;
               }),
          "entry 'a?"
          "?' is");
  refused(with(0, [](ZipEntry& e) { e.crc = 1; }),
          "'archive/data.pkl' is damaged: its checksum is");
  refused(with(2, [](ZipEntry& e) { e.crc = 1; }),
          "'archive/data/0' is damaged: its checksum is wrong");
  refused(with(0,
               [](ZipEntry& e) {
                 e.name = "archive/data";
                 e.local_name = e.name;
               }),
          "has no data.pkl");
  refused(with(3, [](ZipEntry& e) { e.name = "other/data.pkl"; }),
          "holds two checkpoints, 'archive/' and");
  refused(with(1, [](ZipEntry& e) { e.data = "big"; }), "has the byte order 'big'; only 'little'");
  // The same place twice, under two names.
  std::vector<ZipEntry> entries = good_entries();
  entries[3].offset = 0;
  entries[3].local_name = entries[0].name;
  entries[3].name = entries[0].name;
  refused(zip(entries), "two entries are named");
  // A damaged signature, and a name that leads out of the file.
  std::string file = zip(good_entries());
  const size_t directory = file.find("PK\x01\x02");
  std::string damaged = file;
  damaged[directory] = 'x';
  refused(damaged, "the directory has no entry at byte");
  damaged = file;
  damaged[directory + 29] = '\x7f';
  refused(damaged, "the name of an entry at byte");
  damaged = file;
  damaged[directory + 31] = '\x7f';
  refused(damaged, "an extra field at byte");
  damaged = file;
  damaged[directory + 33] = '\x7f';
  refused(damaged, "its directory holds 1 entries, its end record says 4");
}

TEST_CASE("zip: the checksum is CRC-32") {
  const std::string text = "123456789";  // the check value of CRC-32
  CHECK(crc32(std::as_bytes(std::span(text))) == 0xcbf43926u);
  CHECK(crc32({}) == 0);
}

// --- pickles that are wrong

void refused_pickle(const std::string& value, const std::string& message) {
  INFO(value.substr(0, 100));
  refused(checkpoint(value, {floats}), message);
}

TEST_CASE("pytorch: objects that are no tensors are refused by name, and nothing is run") {
  const TempDir dir;
  const std::string file = (dir / "made").string();
  const std::string only = ", not only tensors. HINT: in Python, torch.save(model.state_dict()";
  const auto touch = [&](const std::string& function) {
    return dict({{"x", call(function, {text("touch " + file)})}});
  };
  refused_pickle(touch(global("os", "system")), "holds the Python object os.system" + only);
  refused_pickle(touch(global("posix", "system")), "holds the Python object posix.system" + only);
  refused_pickle(touch(text("builtins") + text("eval") + "\x93"),
                 "Python object builtins.eval" + only);
  refused_pickle(touch(global("torch", "load")), "holds the Python object torch.load" + only);
  refused_pickle(touch(global("__main__", "Trainer")), "Python object __main__.Trainer" + only);
  refused_pickle(touch(global("torch._utils", "_rebuild_tensor")),
                 "torch._utils._rebuild_tensor" + only);
  refused_pickle(touch(global("torch.FloatStorage", "")), "torch.FloatStorage." + only);
  refused_pickle(touch(global("", "torch.FloatStorage")), "object .torch.FloatStorage" + only);
  refused_pickle(global("collections", "OrderedDict\r"), "collections.OrderedDict?" + only);
  refused_pickle(touch(text("a\nb") + text(std::string(5000, 'x')) + "\x93"), "object a?b.xxxx");
  refused_pickle(dict({{"x", "c__main__\nA\n)\x81"}}), "__main__.A");
  // An instance of what is allowed is no tensor either.
  refused_pickle(dict({{"x", global("torch", "Tensor") + ")\x81"}}),
                 "more than tensors (opcode 129)");
  refused_pickle("(i__main__\nA\n", "holds more than tensors (opcode 105)");
  refused_pickle("I1\n", "holds more than tensors (opcode 73)");
  CHECK(dir.list().empty());
}

TEST_CASE("pytorch: tensors of other kinds are refused by name") {
  const std::string utils = "torch._utils";
  const auto made_by = [&](const std::string& function) {
    return dict({{"x", call(global(utils, function), {"K\1"})}});
  };
  refused_pickle(made_by("_rebuild_qtensor"),
                 "holds a quantized tensor (torch._utils._rebuild_qtensor)");
  refused_pickle(made_by("_rebuild_sparse_tensor"), "holds a sparse tensor");
  refused_pickle(made_by("_rebuild_sparse_csr_tensor"), "holds a sparse tensor");
  refused_pickle(made_by("_rebuild_nested_tensor"), "holds a nested tensor");
  refused_pickle(made_by("_rebuild_meta_tensor_no_storage"), "holds a tensor without data");
  for (const auto& [type, name] :
       {std::pair{"ComplexFloatStorage", "complex64"}, {"QInt8Storage", "qint8"}})
    refused_pickle(
        dict({{"x", tensor({storage(type, 3), {3}, {1}})}}),
        std::string("'x' has the type torch.") + name + ", which is not supported. HINT: ");
  std::vector<std::string> typed = arguments(matrix);
  typed[0] = tuple({text("storage"), global("torch.storage", "UntypedStorage"), text("0"),
                    text("cpu"), integer(24)}) +
             "Q";
  const std::string rebuild = global(utils, "_rebuild_tensor_v3");
  refused_pickle(dict({{"x", call(rebuild, typed)}}), "'x' is a tensor with 6 arguments; 7 or 8");
  typed.push_back(global("torch", "float8_e5m2"));
  refused_pickle(dict({{"x", call(rebuild, typed)}}), "'x' has the type torch.float8_e5m2");
  typed.back() = "N";
  refused_pickle(dict({{"x", call(rebuild, typed)}}), "'x' has no type of elements");
  // A storage without a type, where only the storage can tell it.
  typed.pop_back();
  refused_pickle(dict({{"x", call(global(utils, "_rebuild_tensor_v2"), typed)}}),
                 "no type of elements");
}

TEST_CASE("pytorch: pickles that do not add up") {
  const std::string none = "and there is none", ends = "the pickle ends within a value";
  refused_pickle("", "the pickle ends with 0 values, not one");
  refused_pickle("NN", "the pickle ends with 2 values, not one");
  refused_pickle("N(", "the pickle ends with 1 values, not one");
  refused_pickle("N.N", "the pickle ends here, and 2 bytes are behind it");
  refused_pickle("X" + u32(0xffffffff) + "x", ends);
  refused_pickle("\x8d" + u64(UINT64_MAX) + "x", ends);
  refused_pickle("B" + u32(100), ends);
  refused_pickle("\x8e" + u64(100), ends);
  refused_pickle("\x96" + u64(100), ends);
  refused_pickle("\x8b" + u32(0xffffffff), ends);
  refused_pickle("J\1", ends);
  refused_pickle("G\1", ends);
  refused_pickle("h", "the memo has no value 46");
  refused_pickle("j" + u32(70000), "the memo has no value 70000");
  refused_pickle("q\1", "an opcode needs 1 values, and 0 are there");
  refused_pickle("\x94", "an opcode needs 1 values, and 0 are there");
  refused_pickle("N\x86", "an opcode needs 2 values, and 1 are there");
  refused_pickle("N(\x85", "an opcode needs 1 values, and 0 are there");
  refused_pickle("}(Nb", "an opcode needs 1 values, and 0 are there");
  refused_pickle("Nt", "an opcode needs a mark, " + none);
  refused_pickle("Ne", "an opcode needs a mark, " + none);
  refused_pickle("NNa", "an opcode is for a list, " + none);
  refused_pickle("N(Ne", "an opcode is for a list, " + none);
  refused_pickle("](u", "an opcode is for a dictionary, " + none);
  refused_pickle("]NNs", "an opcode is for a dictionary, " + none);
  refused_pickle("}(Nu", "a key has no value");
  refused_pickle("(u", "an opcode needs 1 values, and 0 are there");
  refused_pickle("N)R", "a call must have a function and a tuple of arguments");
  refused_pickle(global("torch", "Size") + "]R", "a call must have a function and a tuple");
  refused_pickle(call(global("collections", "OrderedDict"), {"]"}),
                 "an OrderedDict must be made empty");
  refused_pickle(tensor(matrix) + "}b", "an opcode is for a dictionary with attributes, " + none);
  refused_pickle("NN\x93", "a name must be text");
  refused_pickle("ctorch", "the pickle ends within a name");
  refused_pickle("ctorch\nSize", "the pickle ends within a name");
  refused_pickle("\x95" + u64(1000) + "N", "a frame of 1000 bytes reaches beyond the pickle");
  refused_pickle(std::string(1001, '('), "more than 1000 marks are open");
  const auto start = [](const std::string& pickle) {
    std::vector<ZipEntry> entries = good_entries();
    entries[0].data = pickle;
    return zip(entries);
  };
  refused(start(""), "archive/data.pkl at byte 0: there is no pickle of protocol 2 to 5");
  refused(start("\x80"), "there is no pickle of protocol 2 to 5");
  for (const char* pickle : {"\x80\x01}.", "\x80\x06}.", "}}}."})
    refused(start(pickle), "there is no pickle of protocol 2 to 5");
  refused(start("\x80\x02}"), "at byte 3: the pickle ends within a value");
  const std::string whole = good_entries()[0].data;
  for (size_t size = 0; size < whole.size(); ++size)
    expect_error([&] { parse(start(whole.substr(0, size))); }, "archive/data.pkl at byte ");
}

TEST_CASE("pickle: bounds of the size, the values and the memo") {
  const auto parse_text = [](const std::string& text) {
    parse_pickle(std::as_bytes(std::span(text)), "p", {});
  };
  const auto start = [](size_t size, char opcode) {
    return "\x80\x02" + std::string(size, opcode);
  };
  expect_error([&] { parse_text(start(64 << 20, 'N')); }, "at most 67108864 are allowed");
  expect_error([&] { parse_text(start(2'000'001, 'N')); }, "holds more than 2000000 values");
  std::string memo = start(1, 'N');
  for (uint32_t i = 0; i <= 2'000'000; ++i) memo += "r" + u32(i);
  expect_error([&] { parse_text(memo); }, "remembers more than 2000000 values");
}

// --- trees of any size

TEST_CASE("pytorch: dictionaries that contain themselves, or are too many") {
  refused_pickle("}q\1X" + u32(1) + "ah\1s", "nested more than 32 levels deep");
  const auto nested = [](int depth) {
    std::string value = dict({{"x", tensor(matrix)}});
    for (int i = 1; i < depth; ++i) value = dict({{"d", value}});
    return value;
  };
  CHECK(parse(checkpoint(nested(32), {floats})).size() == 1);
  refused_pickle(nested(33), "nested more than 32 levels deep");
  // Each dictionary holds the next one twice: 2^30 paths in 500 bytes.
  std::string doubled = "}";
  for (char i = 1; i <= 30; ++i) {
    const std::string place(1, i);
    doubled = "}(" + text("a") + doubled + "q" + place + text("b") + "h" + place + "u";
  }
  refused_pickle(doubled, "has more than 2000000 values in its dictionaries");
}

TEST_CASE("pytorch: more tensors than any model has") {
  // 2^17 names of one tensor.
  std::string doubled = dict({{"x", tensor(matrix)}});
  for (char i = 1; i <= 17; ++i) {
    const std::string place(1, i);
    doubled = "}(" + text("a") + doubled + "q" + place + text("b") + "h" + place + "u";
  }
  refused_pickle(doubled, "has more than 100000 tensors");
  // A dictionary of other things may be large.
  std::string words = "}(";
  for (int64_t i = 0; i < 300'000; ++i) words += integer(i) + "N";
  const std::string value = dict({{"words", words + "u"}, {"x", tensor(matrix)}});
  CHECK(parse(checkpoint(value, {floats})).size() == 1);
}

TEST_CASE("pytorch: names that are too long or not unique") {
  const std::string x = tensor(matrix);
  refused_pickle(dict({{std::string(1001, 'n'), x}}), "has a name of 1001 bytes; at most 1000");
  refused_pickle(dict({{std::string(600, 'n'), dict({{std::string(600, 'n'), x}})}}),
                 "has a name of 1201 bytes; at most 1000");
  refused_pickle(dict({{"x", x}, {"x", x}}), "holds two tensors named 'x'");
  refused_pickle(dict({{"x.y", x}, {"x", dict({{"y", x}})}}), "holds two tensors named 'x.y'");
  refused_pickle(x, "holds no dictionary of tensors");
  refused_pickle("](" + x + "e", "holds no dictionary of tensors");
}

// --- tensors that are wrong

void refused_view(const View& view, const std::string& message) {
  INFO(message);
  expect_error([&] { read_view(view, floats); }, "test.pt: 'x' " + message);
}

TEST_CASE("pytorch: views that do not fit their storage") {
  const std::string six = storage("FloatStorage", 6);
  constexpr int64_t kHuge = int64_t{1} << 62;
  refused_view({six, {7}, {1}}, "reaches to element 6 of a storage of 6");
  refused_view({six, {6}, {1}, 1}, "reaches to element 6 of a storage of 6");
  refused_view({six, {2, 3}, {4, 1}}, "reaches to element 6 of a storage of 6");
  refused_view({six, {}, {}, 6}, "reaches to element 6 of a storage of 6");
  refused_view({storage("FloatStorage", 0, "1"), {}, {}},
               "needs the entry 'archive/data/1', which");
  refused_view({six, {1}, {1}, -1},
               "has an offset, sizes or strides that are too large: offset -1");
  refused_view({six, {3}, {kHuge}}, "has an offset, sizes or strides that are too large");
  refused_view({six, {2}, {kHuge}, kHuge + 5},
               "has an offset, sizes or strides that are too large");
  refused_view({six, {kHuge, kHuge, 0}, {0, 0, 0}},
               "has an offset, sizes or strides that are too large");
  refused_view({six, {kHuge}, {0}}, "has an offset, sizes or strides that are too large");
  refused_view({six, {1, 2}, {1}}, "has 2 sizes and 1 strides");
  refused_view({six, {-1}, {1}}, "has sizes that are no numbers from 0 on");
  refused_view({six, {2}, {-1}, 1}, "has strides that are no numbers from 0 on");
  refused_view({six, {1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1}}, "has 7 dimensions; at most 6");
}

TEST_CASE("pytorch: views that repeat few bytes many times take no memory") {
  const std::string six = storage("FloatStorage", 6);
  refused_view({six, {int64_t{1} << 40}, {0}},
               "of (1099511627776) repeats its storage so often that");
  refused_view({six, {1000, 1000}, {0, 0}},
               "of (1000, 1000) repeats its storage so often that it takes");
  // Many small ones. The same tensor under many names is one.
  const std::string turned = tensor({six, {3, 2}, {1, 3}});
  Items many;
  for (int i = 0; i < 300; ++i) many.emplace_back(std::to_string(i), turned);
  std::string shared = dict({{"first", turned + "q\1"}});
  for (int i = 0; i < 300; ++i) shared += text(std::to_string(i)) + "h\1s";
  CHECK(parse(checkpoint(shared, {floats})).size() == 301);
  std::string brief = dict({{"f", global("torch._utils", "_rebuild_tensor_v2") + "q\1"},
                            {"a", tuple(arguments({six, {3, 2}, {1, 3}})) + "q\2"}});
  for (int i = 0; i < 300; ++i) brief += "M" + u16(i + 256) + "h\1h\2Rs";
  refused_pickle(brief, "repeats its storage so often that it takes 24 bytes, more than ");
}

TEST_CASE("pytorch: calls that make no tensor") {
  const std::string function = global("torch._utils", "_rebuild_tensor_v2");
  const auto with = [&](size_t i, const std::string& value) {
    std::vector<std::string> all = arguments(matrix);
    all.at(i) = value;
    return dict({{"x", call(function, all)}});
  };
  const auto storage_with = [&](size_t i, const std::string& value) {
    std::vector<std::string> id = {text("storage"), global("torch", "FloatStorage"), text("0"),
                                   text("cpu"), integer(6)};
    id.at(i) = value;
    return with(0, tuple(id) + "Q");
  };
  const std::string strange = "'x' has a storage that is not described as torch.save does";
  refused_pickle(dict({{"x", call(function, {})}}),
                 "'x' is a tensor with 0 arguments; 6 or 7 are known");
  refused_pickle(with(0, "N"), "'x' has no storage");
  refused_pickle(with(0, "NQ"), "'x' has no storage");
  refused_pickle(with(0, ")Q"), strange);
  refused_pickle(storage_with(0, text("module")), strange);
  refused_pickle(storage_with(1, text("torch")), strange);
  refused_pickle(storage_with(2, integer(0)), strange);
  refused_pickle(storage_with(4, text("6")), strange);
  refused_pickle(storage_with(1, global("torch", "Size")), "'x' has no type of elements");
  refused_pickle(storage_with(2, text("../0")),
                 "needs the entry 'archive/data/../0', which the file");
  refused_pickle(storage_with(4, integer(7)), "'x' needs a storage of 7 elements, and its entry");
  refused_pickle(storage_with(4, integer(-1)), "'x' needs a storage of -1 elements");
  refused_pickle(storage_with(4, integer(int64_t{1} << 62)),
                 "'x' needs a storage of 4611686018427387904");
  refused_pickle(storage_with(1, global("torch", "DoubleStorage")),
                 "a storage of 6 elements, and its");
  refused_pickle(with(1, "N"), "'x' has no offset");
  refused_pickle(with(2, "]"), "'x' has no sizes");
  refused_pickle(with(3, "N"), "'x' has no strides");
  refused_pickle(with(2, tuple({"N", "N"})), "'x' has sizes that are no numbers from 0 on");
  refused_pickle(with(2, global("torch", "Size") + ")R"), "'x' has a torch.Size of 0 arguments");
  std::vector<std::string> conjugate = arguments(matrix);
  conjugate.push_back(dict({{"neg", "\x88"}}));
  refused_pickle(dict({{"x", call(function, conjugate)}}), "'x' is a view of conjugate or negated");
  const std::string large = raw<int64_t>({1, int64_t{1} << 31});
  expect_error(
      [&] {
        read_view({storage("LongStorage", 2), {2}, {1}}, large);
      },
      "'x' holds 2147483648, which does not fit 32 bits");
}

TEST_CASE("pytorch: parameters that hold no tensor") {
  const std::string parameter = global("torch._utils", "_rebuild_parameter");
  const std::string with_state = global("torch._tensor", "_rebuild_from_type_v2");
  const std::string none = "'x' is a parameter without a tensor";
  refused_pickle(dict({{"x", call(parameter, {})}}), none);
  refused_pickle(dict({{"x", call(parameter, {"N"})}}), none);
  refused_pickle("}" + text("x") + parameter + "(" + text("y") + "tRs", none);
  std::string deep = tensor(matrix);
  for (int i = 0; i < 40; ++i) deep = parameter + deep + "\x85R";
  refused_pickle(dict({{"x", deep}}), "'x' is a parameter of a parameter of a parameter");
  const std::string strange = "'x' is a tensor with attributes that are not understood";
  refused_pickle(dict({{"x", call(with_state, {"N"})}}), strange);
  refused_pickle(dict({{"x", call(with_state, {"N", "N", ")", "N"})}}), strange);
  refused_pickle(dict({{"x", call(with_state, {global("torch", "Size"), "N", ")", "N"})}}),
                 "'x' is made by torch.Size");
}

// --- other files

TEST_CASE("pytorch: the format before 1.6, other pickles and tar archives, with a hint") {
  const TempDir dir;
  const auto kind = [&](const std::string& text, bool is, const std::string& message) {
    INFO(message);
    write_text(dir / "file", text);
    CHECK(is_pytorch_file(dir / "file") == is);
    expect_error([&] { read_pytorch(dir / "file"); }, message);
  };
  kind("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.", true,
       "has the format before PyTorch 1.6. HINT: in Python, with a newer PyTorch, torch.save(");
  kind("\x80\x02}q.", true, "is a pickle that torch.save has not written. HINT: in Python");
  kind("\x80\x02}q", false, "is no file of PyTorch");
  std::string tar(512, 'n');
  tar.replace(257, 5, "ustar");
  kind(tar, true, "is a tar archive. HINT: unpack it");
  kind("PK\x05\x06" + std::string(18, '\0'), true, "is a zip archive, and not one of torch.save");
  kind("", false, "is no file of PyTorch");
  CHECK_FALSE(is_pytorch_file(dir / "absent"));
  CHECK_FALSE(is_pytorch_file(dir.path()));
  expect_error([&] { read_pytorch(dir / "absent"); }, "cannot open");
}

TEST_CASE("pytorch: a safetensors file is none, whatever its bytes") {
  const TempDir dir;
  // A header of 0x0280 bytes begins as a pickle of protocol 2 does, and may end like one.
  std::string header = R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
  header.resize(0x280, ' ');
  const std::string file = u64(header.size()) + header + ".";
  REQUIRE(file.starts_with("\x80\x02"));
  write_text(dir / "a", file);
  CHECK_FALSE(is_pytorch_file(dir / "a"));
  CHECK(read_safetensors(dir / "a").tensors.size() == 1);
}

// --- the model in a checkpoint

TEST_CASE("official weights: the one model in a checkpoint, wherever it lies") {
  const Tensor x = zeros({1});
  const auto names = [&](const std::vector<std::string>& paths) {
    NamedTensors tensors;
    for (const std::string& path : paths) tensors.emplace_back(path, x);
    std::vector<std::string> result;
    for (const auto& [name, tensor] : model_of_checkpoint(tensors, "f.pt")) result.push_back(name);
    return result;
  };
  const std::vector<std::string> want = {"model.inner.a", "model.inner.b"};
  CHECK(names({"model.inner.a", "model.inner.b"}) == want);
  CHECK(names({"_orig_mod.model.inner.a", "_orig_mod.model.inner.b"}) == want);
  CHECK(names({"model.model.inner.a", "model.model.inner.b", "optimizer.state.0.exp_avg"}) == want);
  CHECK(names({"state_dict._orig_mod.model.inner.a", "state_dict.model.inner.b", "x"}) == want);
  CHECK(names({"module.model.inner.a", "module.model.inner.b"}) == want);
  CHECK(names({"a.model_state_dict.model.inner.a", "a.model_state_dict.model.inner.b"}) == want);
  // Another name that ends like the prefix is none.
  CHECK(names({"my_model.inner.a"}) == std::vector<std::string>{"my_model.inner.a"});
  CHECK(names({"my_model.inner.model.inner.a", "b"}) == std::vector<std::string>{"model.inner.a"});
  // What is beside the weights at the top stays, so that from_official names it.
  CHECK(names({"model.inner.a", "loss"}) == std::vector<std::string>{"model.inner.a", "loss"});
  expect_error(
      [&] {
        names({"model.model.inner.a", "ema.model.inner.a"});
      },
      "[import] f.pt holds 2 models: 'ema', 'model'. HINT: ");
  expect_error(
      [&] {
        names({"model.inner.a", "ema.model.inner.a"});
      },
      "2 models: at the top, 'ema'");
}

TEST_CASE("official weights: read from a checkpoint and from a safetensors file") {
  const TempDir dir;
  const std::string state = dict({{"_orig_mod.model.inner.w", tensor(matrix)}});
  write_text(dir / "a.bin", checkpoint(dict({{"model_state_dict", state}}), {floats}));
  const NamedTensors tensors = read_official_weights(dir / "a.bin");
  REQUIRE(tensors.size() == 1);
  CHECK(tensors[0].first == "model.inner.w");
  write_safetensors(dir / "b.pt", tensors);
  CHECK(read_official_weights(dir / "b.pt")[0].second.to_vector() == tensors[0].second.to_vector());
  write_text(dir / "c", checkpoint(dict({{"w", tensor(matrix)}}), {floats}));
  expect_error([&] { read_official_weights(dir / "c"); }, "got 'w', in " + (dir / "c").string());
  for (const auto& load : std::vector<std::function<void()>>{[&] { load_any_run(dir / "c", ""); },
                                                             [&] { config_in(dir / "c"); },
                                                             [&] { task_in(dir / "c"); }})
    expect_error(load, "/c is a file of PyTorch, which holds no settings. HINT: `hrm import ");
}

}  // namespace
}  // namespace hrm

// What every test shares; it includes doctest.
#pragma once

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iostream>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <doctest/doctest.h>

#include "tensor/tensor.h"

namespace hrm::test {

// Folders with recorded numbers and with puzzles: $REFERENCE_DIR, $DATA_DIR, or the defaults
// ../shared/reference and ../shared/data. Neither has to exist; tests that need one SKIP.
std::filesystem::path reference_dir();
std::filesystem::path data_dir();

// The devices of this build: the CPU, and with CUDA=1 (on a machine with a GPU) or CUDA=emulate the
// CUDA device. Tests that run on all of them say "on every device" in their names.
std::vector<Device> devices();

// The name of the running test case.
std::string test_name();

// Leaves the test case and says why, in the form that tests/run.sh counts. Call it from the test
// case itself, before anything was asserted.
#define SKIP(reason)                                                                    \
  do {                                                                                  \
    std::cout << "SKIPPED " << ::hrm::test::test_name() << ": " << reason << std::endl; \
    return;                                                                             \
  } while (0)

// Fails unless `action` throws hrm::Error with one line that contains `message`.
void expect_error(const std::function<void()>& action, const std::string& message);

// Writes a file, and the folder that it lies in if need be.
void write_text(const std::filesystem::path& path, const std::string& text);

// |a - b| / |b| of two lists of equal length.
double relative_distance(const std::vector<double>& a, const std::vector<double>& b);

// A folder that lives as long as the object.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  // Names of the files in it, sorted.
  std::vector<std::string> list() const;

 private:
  std::filesystem::path path_;
};

// n elements between two guard zones: intact() is false once something was written outside. The
// elements start filled with the guard pattern too (a NaN in bf16, f32 and f64), so that a result
// which was never written shows.
template <class T>
class GuardedBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  explicit GuardedBuffer(size_t n) : n_(n), bytes_(n * sizeof(T) + 2 * kGuard, kPattern) {}
  GuardedBuffer(std::initializer_list<T> values) : GuardedBuffer(values.size()) {
    std::copy(values.begin(), values.end(), data());
  }

  T* data() { return reinterpret_cast<T*>(bytes_.data() + kGuard); }
  const T* data() const { return reinterpret_cast<const T*>(bytes_.data() + kGuard); }
  size_t size() const { return n_; }
  T& operator[](size_t i) { return data()[i]; }
  std::span<T> span() { return {data(), n_}; }
  bool intact() const {
    const auto clean = [](unsigned char byte) { return byte == kPattern; };
    return std::all_of(bytes_.begin(), bytes_.begin() + kGuard, clean) &&
           std::all_of(bytes_.end() - kGuard, bytes_.end(), clean);
  }

 private:
  static constexpr size_t kGuard = 256;
  static constexpr unsigned char kPattern = 0xff;
  size_t n_;
  std::vector<unsigned char> bytes_;
};

}  // namespace hrm::test

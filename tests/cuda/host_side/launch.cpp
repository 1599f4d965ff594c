// Launches over the stand-in: what nvcc's code calls when the program starts, and for kernel<<<>>>.
// The registers and shared memory of each kernel are what ptxas said of it, which the Makefile
// keeps in a file beside the program.
#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>

#include <cuda_runtime_api.h>

#include "tests/cuda/host_side/stand_in.h"

namespace hrm::stand_in {
namespace {

// Of every GPU from compute capability 8.0 on.
constexpr size_t kRegisters = 65536;           // of a block
constexpr size_t kSharedByDefault = 48 << 10;  // static and dynamic, bytes
constexpr size_t kSharedAtMost = 99 << 10;
constexpr unsigned kBlockAtMost = 1024;
constexpr unsigned kGridAtMost = 65535;  // in y and z

struct Usage {
  size_t registers = 0, shared = 0;  // of a thread, of a block: the most of all architectures
};

// "ptxas info    : Compiling entry function 'NAME' for 'sm_90'"
// "ptxas info    : Used 32 registers, used 1 barriers, 256 bytes smem, ..."
std::map<std::string, Usage> read_usage() {
  const auto path = std::filesystem::read_symlink("/proc/self/exe").string() + ".ptxas";
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path + ", which make writes");
  std::map<std::string, Usage> all;
  Usage* current = nullptr;
  for (std::string line; std::getline(file, line);) {
    if (line.find("Compiling entry function") != std::string::npos) {
      const size_t begin = line.find('\'') + 1;
      current = &all[line.substr(begin, line.find('\'', begin) - begin)];
    }
    const size_t used = line.find("Used ");
    if (!current || used == std::string::npos) continue;
    current->registers = std::max<size_t>(current->registers, std::stoul(line.substr(used + 5)));
    const size_t smem = line.find(" bytes smem");
    if (smem == std::string::npos) continue;
    const size_t number = line.rfind(' ', smem - 1) + 1;
    current->shared = std::max<size_t>(current->shared, std::stoul(line.substr(number)));
  }
  return all;
}

struct Kernel {
  std::string name;              // "map_kernel<bf16, Axpy>"
  std::vector<bool> is_pointer;  // of each parameter
  Usage usage;
  size_t shared_allowed = kSharedByDefault;  // dynamic, as cudaFuncSetAttribute set it
};
std::map<const void*, Kernel>& kernels() {
  static std::map<const void*, Kernel> all;
  return all;
}

std::string demangled(const char* symbol) {
  int status = 0;
  char* text = abi::__cxa_demangle(symbol, nullptr, nullptr, &status);
  const std::string result = text ? text : symbol;
  std::free(text);
  return result;
}

// Takes "void hrm::cuda::(anonymous namespace)::fill_kernel<float>(float*, long, float)" apart.
Kernel parse(std::string signature) {
  Kernel kernel;
  const std::pair<const char*, const char*> shorter[] = {{"(anonymous namespace)::", ""},
                                                         {"hrm::", ""},
                                                         {"cuda::", ""},
                                                         {"void ", ""},
                                                         {"bfloat16", "bf16"},
                                                         {"float", "f32"},
                                                         {"double", "f64"}};
  for (const auto& [from, to] : shorter)
    for (size_t at; (at = signature.find(from)) != std::string::npos;)
      signature.replace(at, std::strlen(from), to);
  // The parameters are the last pair of parentheses.
  size_t open = signature.size() - 1;
  for (int depth = 0; open > 0; --open) {
    depth += signature[open] == ')' ? 1 : signature[open] == '(' ? -1 : 0;
    if (depth == 0) break;
  }
  const std::string parameters = signature.substr(open + 1, signature.size() - open - 2);
  int depth = 0;
  char last = 0;
  for (const char c : parameters + ',') {
    depth += c == '<' || c == '(' ? 1 : c == '>' || c == ')' ? -1 : 0;
    if (c == ',' && depth == 0 && last) kernel.is_pointer.push_back(last == '*');
    if (c != ' ') last = c;
  }
  kernel.name = signature.substr(0, open);
  return kernel;
}

// "map_kernel<bf16, Axpy>, 492 x 8 blocks of 256"
std::string launch_name(const Kernel& kernel, dim3 grid, size_t threads) {
  std::string name = kernel.name + ", " + std::to_string(grid.x);
  if (grid.y > 1 || grid.z > 1) name += " x " + std::to_string(grid.y);
  if (grid.z > 1) name += " x " + std::to_string(grid.z);
  return name + (name.ends_with(", 1") ? " block of " : " blocks of ") + std::to_string(threads);
}

void check_launch(const Kernel& kernel, dim3 grid, dim3 block, size_t shared) {
  const size_t threads = size_t{block.x} * block.y * block.z;
  const auto wrong = [&](const std::string& what) {
    violation(launch_name(kernel, grid, threads) + " with " + std::to_string(shared) +
              " bytes of dynamic shared memory: " + what);
  };
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) wrong("an empty grid");
  if (grid.x > 0x7fffffffu || grid.y > kGridAtMost || grid.z > kGridAtMost) wrong("a large grid");
  if (threads == 0 || threads > kBlockAtMost || threads % 32 != 0) wrong("size of the block");
  // A warp takes registers in portions of 256.
  const size_t of_a_warp = (kernel.usage.registers * 32 + 255) / 256 * 256;
  if (of_a_warp * ((threads + 31) / 32) > kRegisters) wrong("more registers than there are");
  const size_t allowed = kernel.shared_allowed == kSharedByDefault
                             ? kSharedByDefault - std::min(kernel.usage.shared, kSharedByDefault)
                             : kernel.shared_allowed;
  if (shared > allowed) wrong("more shared memory than it was allowed");
  if (shared + kernel.usage.shared > kSharedAtMost) wrong("more shared memory than there is");
}

cudaError_t launch(const void* function, dim3 grid, dim3 block, void** arguments, size_t shared,
                   const void* stream) {
  const auto at = kernels().find(function);
  if (at == kernels().end()) {
    violation("a launch of what is no kernel");
    return cudaErrorInvalidDeviceFunction;
  }
  const Kernel& kernel = at->second;
  check_launch(kernel, grid, block, shared);
  check_stream(stream, kernel.name);
  Operation operation{launch_name(kernel, grid, size_t{block.x} * block.y * block.z), {}};
  for (size_t i = 0; arguments && i < kernel.is_pointer.size(); ++i) {
    if (!kernel.is_pointer[i]) continue;
    const void* pointer = nullptr;
    std::memcpy(&pointer, arguments[i], sizeof pointer);
    if (pointer) operation.memory.push_back({pointer, 1});
  }
  queue(std::move(operation));
  return cudaSuccess;
}

struct Configuration {
  dim3 grid, block;
  size_t shared;
  void* stream;
} configuration;

}  // namespace

const void* kernel(const std::string& name) {
  for (const auto& [function, kernel] : kernels())
    if (kernel.name.substr(0, kernel.name.find('<')) == name) return function;
  throw std::runtime_error("no kernel " + name);
}

}  // namespace hrm::stand_in

using namespace hrm::stand_in;

extern "C" {

void** __cudaRegisterFatBinary(void*) {
  static void* handle = nullptr;
  return &handle;
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
void __cudaRegisterFunction(void**, const char* function, char*, const char* symbol, int, uint3*,
                            uint3*, dim3*, dim3*, int*) {
  static const std::map<std::string, Usage> usage = read_usage();
  Kernel kernel = parse(demangled(symbol));
  const auto at = usage.find(symbol);
  if (at == usage.end()) throw std::runtime_error("ptxas said nothing of " + kernel.name);
  kernel.usage = at->second;
  kernels()[function] = std::move(kernel);
}

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, CUstream_st* stream) {
  configuration = {grid, block, shared, stream};
  return 0;
}
cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void* stream) {
  *grid = configuration.grid;
  *block = configuration.block;
  *shared = configuration.shared;
  std::memcpy(stream, &configuration.stream, sizeof configuration.stream);
  return cudaSuccess;
}
// CUDA 12 launches by the host function, CUDA 13 by a handle for it.
cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments,
                             size_t shared, cudaStream_t stream) {
  return launch(function, grid, block, arguments, shared, stream);
}
cudaError_t __cudaGetKernel(cudaKernel_t* handle, const void* function) {
  *handle = static_cast<cudaKernel_t>(const_cast<void*>(function));
  return cudaSuccess;
}
cudaError_t __cudaLaunchKernel(cudaKernel_t handle, dim3 grid, dim3 block, void** arguments,
                               size_t shared, cudaStream_t stream) {
  return launch(handle, grid, block, arguments, shared, stream);
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
  *attributes = {};
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute, int value) {
  const auto at = kernels().find(function);
  if (at == kernels().end())
    violation("an attribute of what is no kernel");
  else
    at->second.shared_allowed = static_cast<size_t>(value);
  return cudaSuccess;
}

}  // extern "C"

// Which memory belongs to which file. Reading memory that is mapped to a file fails with the signal
// SIGBUS once somebody has cut the file off; a program that asks for it then says which file it
// was.
//
//     explain_truncated_files(2);                   // once, in main()
//     note_mapped(begin, size, "data/train.npy");   // for every file that is mapped
#pragma once

#include <cstddef>
#include <string>

namespace hrm {

// Remembers that `size` bytes from `begin` show the file `name`, until they are forgotten. The
// table is finite; a file that finds no place in it is not named later, and that is all.
void note_mapped(const void* begin, size_t size, const std::string& name);
void forget_mapped(const void* begin);

// From now on, a file that was cut off under the program is one line on stderr that names it, and
// it ends with the exit status. For main(): it takes over the signal SIGBUS.
void explain_truncated_files(int exit_status);

}  // namespace hrm

// SPDX-License-Identifier: MIT

#ifndef MEMORY_FILE_H
#define MEMORY_FILE_H

#include "input-error.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

namespace mlb
{

/**
 * @brief Lets a reader read bytes as if they were a file. It may refuse them by InputError only.
 * @param data the bytes
 * @param size how many
 * @param read the reader; takes a path
 */
template <class Read>
void
ReadFromMemory(const uint8_t* data, std::size_t size, Read read)
{
    static const int file = memfd_create("input", 0);
    static const std::string path = "/proc/self/fd/" + std::to_string(file);
    if (ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != static_cast<ssize_t>(size))
    {
        std::abort();
    }
    try
    {
        read(path);
    }
    catch (const InputError&)
    {
    }
}

} // namespace mlb

#endif // MEMORY_FILE_H

// SPDX-License-Identifier: MIT

#ifndef TEST_FILE_H
#define TEST_FILE_H

#include "input-error.h"

#include <fstream>
#include <string>

namespace mlb
{

/**
 * @brief Writes a file.
 * @param path where
 * @param text what is in it
 * @return the path
 */
inline std::string
WriteFile(const std::string& path, const std::string& text)
{
    std::ofstream(path) << text;
    return path;
}

/**
 * @param read what may refuse its input
 * @return what it says of it, or nothing if it accepts
 */
template <class Read>
std::string
RefusalOf(Read read)
{
    try
    {
        read();
    }
    catch (const InputError& error)
    {
        return error.what();
    }
    return "";
}

} // namespace mlb

#endif // TEST_FILE_H

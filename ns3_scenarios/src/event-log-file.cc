// SPDX-License-Identifier: MIT

#include "event-log-file.h"

#include "input-error.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <iostream>
#include <unistd.h>

namespace mlb
{

EventLogFile::EventLogFile(const std::filesystem::path& path, const std::string& header)
    : m_path(path),
      m_part(path.string() + ".part"),
      m_owner(getpid())
{
    if (std::filesystem::exists(m_path))
    {
        throw InputError("--event-log",
                         "'" + m_path.string() + "' exists",
                         "remove it or choose another directory");
    }
    m_file.open(m_part, std::ios::trunc);
    if (!(m_file << header << '\n' << std::flush))
    {
        throw InputError("--event-log",
                         "cannot write '" + m_part.string() + "' (" + std::strerror(errno) + ")",
                         "choose a directory that exists and is writable");
    }
}

EventLogFile::~EventLogFile()
{
    if (getpid() != m_owner)
    {
        return;
    }
    m_file.close();
    std::error_code error;
    if (m_file)
    {
        std::filesystem::rename(m_part, m_path, error);
    }
    if (!m_file || error)
    {
        std::cerr << "error: --event-log: cannot write '" << m_path.string()
                  << "'; cure: free some space" << std::endl;
    }
}

void
EventLogFile::Write(std::initializer_list<double> row)
{
    if (getpid() != m_owner)
    {
        return;
    }
    // No double takes more characters in fixed notation, which integers are read back from.
    constexpr std::size_t LONGEST = 400;
    std::array<char, LONGEST> digits;
    for (const double* value = row.begin(); value != row.end(); ++value)
    {
        const auto end =
            std::to_chars(digits.begin(), digits.end(), *value, std::chars_format::fixed).ptr;
        *end = value + 1 == row.end() ? '\n' : ',';
        m_file.write(digits.data(), end + 1 - digits.data());
    }
}

} // namespace mlb

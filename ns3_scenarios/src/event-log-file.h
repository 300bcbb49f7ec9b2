// SPDX-License-Identifier: MIT

#ifndef EVENT_LOG_FILE_H
#define EVENT_LOG_FILE_H

#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <string>
#include <sys/types.h>

namespace mlb
{

/**
 * @brief A CSV file that is whole or absent: written aside, and renamed when it is destroyed.
 *
 * A forked copy of the process writes nothing.
 */
class EventLogFile
{
  public:
    /**
     * @param path the file; what is written until it is whole is "path.part"
     * @param header names of the columns, separated by commas
     * @throws InputError the file exists, or cannot be written
     */
    EventLogFile(const std::filesystem::path& path, const std::string& header);
    ~EventLogFile();

    EventLogFile(const EventLogFile&) = delete;
    EventLogFile& operator=(const EventLogFile&) = delete;

    /**
     * @brief Writes a row; every number in as few digits as tell it from all others.
     * @param row one value a column
     */
    void Write(std::initializer_list<double> row);

  private:
    const std::filesystem::path m_path; ///< the file
    const std::filesystem::path m_part; ///< where it is written
    const pid_t m_owner;                ///< the process that writes
    std::ofstream m_file;               ///< the open file
};

} // namespace mlb

#endif // EVENT_LOG_FILE_H

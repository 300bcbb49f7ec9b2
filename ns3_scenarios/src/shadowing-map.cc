// SPDX-License-Identifier: MIT

#include "shadowing-map.h"

#include "input-error.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <fstream>
#include <sstream>

namespace mlb
{

using namespace ns3;

NS_OBJECT_ENSURE_REGISTERED(ShadowingMap);

static_assert(std::endian::native == std::endian::little, "the file is little-endian");

TypeId
ShadowingMap::GetTypeId()
{
    static TypeId tid = TypeId("mlb::ShadowingMap")
                            .SetParent<PropagationLossModel>()
                            .SetGroupName("Propagation")
                            .AddConstructor<ShadowingMap>();
    return tid;
}

void
ShadowingMap::DoDispose()
{
    m_siteOf.clear();
    PropagationLossModel::DoDispose();
}

void
ShadowingMap::Read(const std::string& path, uint32_t sites)
{
    constexpr uint64_t MOST_VALUES = 1U << 28U;
    constexpr float HIGHEST_DB = 1000;
    const auto refuse = [&path](const std::string& what) {
        throw InputError("--shadowing", "'" + path + "' " + what, "let mlb write it anew");
    };

    std::ifstream file(path, std::ios::binary);
    std::string line;
    if (!file || !std::getline(file, line))
    {
        refuse("cannot be read");
    }
    std::istringstream header(line);
    std::string name;
    uint32_t version = 0;
    uint32_t fileSites = 0;
    header >> name >> version >> fileSites >> m_rows >> m_columns >> m_westM >> m_southM >> m_gridM;
    if (!header || name != "mlb-shadowing" || version != 1 || m_rows < 2 || m_columns < 2 ||
        !(m_gridM > 0))
    {
        refuse("is not a shadowing map");
    }
    if (fileSites != sites)
    {
        refuse("is of " + std::to_string(fileSites) + " sites, but the scenario has " +
               std::to_string(sites));
    }
    if (m_rows > MOST_VALUES / m_columns / sites)
    {
        refuse("is too large");
    }

    m_lossDb.resize(static_cast<std::size_t>(sites) * m_rows * m_columns);
    const auto bytes = static_cast<std::streamsize>(m_lossDb.size() * sizeof(float));
    file.read(reinterpret_cast<char*>(m_lossDb.data()), bytes);
    if (file.gcount() != bytes || file.peek() != std::ifstream::traits_type::eof())
    {
        refuse("has not the size that its first line says");
    }
    // NaN fails the comparison.
    const bool isValid = std::all_of(m_lossDb.begin(), m_lossDb.end(), [](float lossDb) {
        return std::abs(lossDb) <= HIGHEST_DB;
    });
    if (!isValid)
    {
        refuse("holds values that are no loss in dB");
    }
}

void
ShadowingMap::AddCell(Ptr<const MobilityModel> cell, uint32_t site)
{
    m_siteOf[cell] = site;
}

double
ShadowingMap::GetLossDb(uint32_t site, double xM, double yM) const
{
    const double column = std::clamp((xM - m_westM) / m_gridM, 0.0, m_columns - 1.0);
    const double row = std::clamp((yM - m_southM) / m_gridM, 0.0, m_rows - 1.0);
    const uint32_t west = std::min(static_cast<uint32_t>(column), m_columns - 2);
    const uint32_t south = std::min(static_cast<uint32_t>(row), m_rows - 2);
    const std::size_t corner = (static_cast<std::size_t>(site) * m_rows + south) * m_columns + west;
    const auto onRow = [this, east = column - west](std::size_t point) {
        return std::lerp<double, double, double>(m_lossDb[point], m_lossDb[point + 1], east);
    };
    return std::lerp(onRow(corner), onRow(corner + m_columns), row - south);
}

double
ShadowingMap::DoCalcRxPower(double txPowerDbm, Ptr<MobilityModel> a, Ptr<MobilityModel> b) const
{
    for (const auto& [cell, place] : {std::pair(a, b), std::pair(b, a)})
    {
        const auto known = m_siteOf.find(cell);
        if (known != m_siteOf.end())
        {
            const Vector position = place->GetPosition();
            return txPowerDbm - GetLossDb(known->second, position.x, position.y);
        }
    }
    return txPowerDbm;
}

int64_t
ShadowingMap::DoAssignStreams(int64_t)
{
    return 0;
}

std::vector<uint32_t>
GetSites(const std::vector<Cell>& cells)
{
    std::map<std::pair<double, double>, uint32_t> known;
    std::vector<uint32_t> sites;
    for (const Cell& cell : cells)
    {
        const auto next = static_cast<uint32_t>(known.size());
        sites.push_back(known.emplace(std::pair(cell.xM, cell.yM), next).first->second);
    }
    return sites;
}

} // namespace mlb

#include "ConfigTable.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <numeric>
#include <sstream>

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace fs = std::filesystem;

namespace {

const toml::table emptyTable;

std::size_t editDistance(const std::string& a, const std::string& b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), 0);
    for (std::size_t i = 1; i <= a.size(); i++) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); j++) {
            const std::size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
        }
    }
    return row.back();
}

const char* kindOf(const toml::node& node) {
    switch (node.type()) {
    case toml::node_type::string:
        return "a text";
    case toml::node_type::integer:
        return "an integer";
    case toml::node_type::floating_point:
        return "a number with a fraction";
    case toml::node_type::boolean:
        return "true or false";
    case toml::node_type::array:
        return "an array";
    case toml::node_type::table:
        return "a table";
    default:
        return "a date or a time";
    }
}

} // namespace

ConfigTable::ConfigTable(const toml::table& table, std::string file, std::string tableName)
    : content(table), origin(std::move(file)), name(std::move(tableName)) {}

std::string ConfigTable::path(const std::string& key) const {
    return name.empty() ? key : name + "." + key;
}

void ConfigTable::fail(const std::string& key, const std::string& message) const {
    throw Error(origin + ": " + path(key) + " " + message);
}

void ConfigTable::failMissing(const std::string& key, const std::string& instead) const {
    for (const auto& [other, value] : content) {
        const std::string found(other.str());
        if (!known.count(found) && editDistance(found, key) <= 1 + key.size() / 4)
            fail(key, "is missing; is " + path(found) + " (line " +
                          std::to_string(value.source().begin.line) + ") a misspelling?");
    }
    fail(key, "is missing" + (instead.empty() ? "" : "; give it or " + path(instead)));
}

bool ConfigTable::has(const std::string& key) const {
    return content.contains(key);
}

bool ConfigTable::isText(const std::string& key) const {
    return content[key].is_string();
}

const toml::node* ConfigTable::find(const std::string& key) {
    known.insert(key);
    return content.get(key);
}

std::string ConfigTable::text(const std::string& key, const std::optional<std::string>& fallback) {
    const toml::node* node = find(key);
    if (!node) {
        if (!fallback)
            failMissing(key);
        return *fallback;
    }
    if (!node->is_string())
        fail(key, std::string("must be a text in quotation marks, it is ") + kindOf(*node));
    return node->as_string()->get();
}

std::size_t ConfigTable::choice(const std::string& key, const std::vector<std::string>& choices,
                                std::size_t fallback) {
    const std::string value = text(key, choices.at(fallback));
    const auto found = std::find(choices.begin(), choices.end(), value);
    if (found == choices.end()) {
        std::string list;
        for (const std::string& c : choices)
            list += (list.empty() ? "\"" : ", \"") + c + "\"";
        fail(key, "is \"" + value + "\", it must be one of " + list);
    }
    return static_cast<std::size_t>(found - choices.begin());
}

double ConfigTable::asNumber(const toml::node& node, const std::string& key) const {
    if (!node.is_number())
        fail(key, std::string("must be a number, it is ") + kindOf(node));
    const double value = *node.value<double>();
    if (!std::isfinite(value))
        fail(key, "must be a finite number");
    return value;
}

double ConfigTable::number(const std::string& key, std::optional<double> fallback) {
    const toml::node* node = find(key);
    if (!node && !fallback)
        failMissing(key);
    return node ? asNumber(*node, key) : *fallback;
}

std::int64_t ConfigTable::asInteger(const toml::node& node, const std::string& key, std::int64_t lowest,
                                    std::int64_t highest) const {
    if (!node.is_integer())
        fail(key, std::string("must be an integer, it is ") + kindOf(node));
    const std::int64_t value = node.as_integer()->get();
    if (value < lowest)
        fail(key, "must be at least " + std::to_string(lowest) + ", it is " + std::to_string(value));
    if (value > highest)
        fail(key, "must be at most " + std::to_string(highest) + ", it is " + std::to_string(value));
    return value;
}

std::int64_t ConfigTable::integer(const std::string& key, std::int64_t lowest,
                                  std::optional<std::int64_t> fallback, std::int64_t highest) {
    const toml::node* node = find(key);
    if (!node && !fallback)
        failMissing(key);
    return node ? asInteger(*node, key, lowest, highest) : *fallback;
}

std::string ConfigTable::file(const std::string& key, const std::optional<std::string>& fallback) {
    const std::string name = text(key, fallback);
    if (name.empty())
        fail(key, "is empty, it must name a file or a folder");
    return relativeTo(origin, name);
}

bool ConfigTable::flag(const std::string& key, bool fallback) {
    const toml::node* node = find(key);
    if (node && !node->is_boolean())
        fail(key, std::string("must be true or false, it is ") + kindOf(*node));
    return node ? node->as_boolean()->get() : fallback;
}

std::vector<double> ConfigTable::numbers(const std::string& key) {
    const toml::node* node = find(key);
    std::vector<double> result;
    if (node && node->is_array())
        for (const toml::node& item : *node->as_array())
            result.push_back(asNumber(item, key));
    else if (node)
        result.push_back(asNumber(*node, key));
    return result;
}

std::vector<std::int64_t> ConfigTable::integers(const std::string& key, std::int64_t lowest) {
    const toml::node* node = find(key);
    std::vector<std::int64_t> result;
    if (node && node->is_array())
        for (const toml::node& item : *node->as_array())
            result.push_back(asInteger(item, key, lowest));
    else if (node)
        result.push_back(asInteger(*node, key, lowest));
    return result;
}

std::vector<std::vector<std::int64_t>> ConfigTable::integerRows(const std::string& key, std::int64_t lowest) {
    const toml::node* node = find(key);
    std::vector<std::vector<std::int64_t>> result;
    if (!node)
        return result;
    if (!node->is_array())
        fail(key, std::string("must be an array of arrays, it is ") + kindOf(*node));
    for (const toml::node& row : *node->as_array()) {
        if (!row.is_array())
            fail(key, std::string("must be an array of arrays, one item is ") + kindOf(row));
        result.emplace_back();
        for (const toml::node& item : *row.as_array())
            result.back().push_back(asInteger(item, key, lowest));
    }
    return result;
}

ConfigTable ConfigTable::table(const std::string& key) {
    const toml::node* node = find(key);
    if (!node)
        return {emptyTable, origin, path(key)};
    if (!node->is_table())
        fail(key, std::string("must be a table, it is ") + kindOf(*node));
    return {*node->as_table(), origin, path(key)};
}

std::vector<ConfigTable> ConfigTable::tables(const std::string& key) {
    const toml::node* node = find(key);
    std::vector<ConfigTable> result;
    if (!node)
        return result;
    if (!node->is_array_of_tables())
        fail(key, "must be tables, each under [[" + path(key) + "]]");
    for (const toml::node& item : *node->as_array())
        result.emplace_back(*item.as_table(), origin, path(key) + "[" + std::to_string(result.size()) + "]");
    return result;
}

void ConfigTable::finish() const {
    for (const auto& [key, value] : content) {
        const std::string found(key.str());
        if (known.count(found))
            continue;
        const auto nearest =
            std::min_element(known.begin(), known.end(), [&](const std::string& a, const std::string& b) {
                return editDistance(found, a) < editDistance(found, b);
            });
        const bool near = nearest != known.end() && editDistance(found, *nearest) <= 1 + found.size() / 2;
        std::ostringstream line;
        line << "(line " << value.source().begin.line << ") is not a key that is known"
             << (near ? "; did you mean " + path(*nearest) + "?" : "");
        fail(found, line.str());
    }
}

toml::table parseToml(const std::string& path) {
    if (!fs::is_regular_file(path))
        throw Error(path + ": there is no such file");
    try {
        return toml::parse_file(path);
    }
    catch (const toml::parse_error& error) {
        std::ostringstream message;
        message << path << ": line " << error.source().begin.line << " is not TOML: " << error.description();
        throw Error(message.str());
    }
}

std::string relativeTo(const std::string& config, const std::string& path) {
    return fs::path(path).is_absolute() ? path
                                        : (fs::path(config).parent_path() / path).lexically_normal().string();
}

int asInt(std::int64_t value) {
    return static_cast<int>(std::min<std::int64_t>(value, std::numeric_limits<int>::max()));
}

double positive(ConfigTable& table, const std::string& key, std::optional<double> fallback) {
    const double value = table.number(key, fallback);
    if (value <= 0.0) {
        std::ostringstream message;
        message << "must be greater than zero, it is " << value;
        table.fail(key, message.str());
    }
    return value;
}

double between(ConfigTable& table, const std::string& key, double lowest, double highest, double fallback) {
    const double value = table.number(key, fallback);
    if (value < lowest || value > highest) {
        std::ostringstream message;
        message << "must lie between " << lowest << " and " << highest << ", it is " << value;
        table.fail(key, message.str());
    }
    return value;
}

} // namespace OpenMMScore

#ifndef OPENMMSCORE_TRAINING_CONFIGTABLE_H_
#define OPENMMSCORE_TRAINING_CONFIGTABLE_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <toml++/toml.h>

namespace OpenMMScore {

/**
 * One table of a TOML file that is read key by key. Every error names file, table and key; finish() refuses
 * keys that nobody asked for, with the nearest name that somebody did.
 */
class ConfigTable {
public:
    static constexpr std::int64_t largestInt = std::numeric_limits<int>::max();

    /** @param name  of the table in messages, "" for the file itself */
    ConfigTable(const toml::table& table, std::string origin, std::string name);

    bool has(const std::string& key) const;
    bool isText(const std::string& key) const;
    /** Let a key pass finish() without a look at its value. */
    void ignore(const std::string& key) { known.insert(key); }
    std::string text(const std::string& key, const std::optional<std::string>& fallback = {});
    /** A text that must be one of a few. @return its index in choices */
    std::size_t choice(const std::string& key, const std::vector<std::string>& choices, std::size_t fallback);
    double number(const std::string& key, std::optional<double> fallback = {});
    /** An integer in [lowest, highest]; most are kept as an int somewhere. */
    std::int64_t integer(const std::string& key, std::int64_t lowest,
                         std::optional<std::int64_t> fallback = {}, std::int64_t highest = largestInt);
    bool flag(const std::string& key, bool fallback);
    /** An array of numbers, or a single one. */
    std::vector<double> numbers(const std::string& key);
    std::vector<std::int64_t> integers(const std::string& key, std::int64_t lowest);
    /** The path of a file or a folder as seen from the configuration, which must not be empty. */
    std::string file(const std::string& key, const std::optional<std::string>& fallback = {});
    /** @return the table of this name; an empty one if there is none */
    ConfigTable table(const std::string& key);
    std::vector<ConfigTable> tables(const std::string& key);
    /** An array of arrays of integers. */
    std::vector<std::vector<std::int64_t>> integerRows(const std::string& key, std::int64_t lowest);
    /** @throws Error  if the table holds a key that was never asked for */
    void finish() const;
    /** Throw an Error that begins with the file and this key. */
    [[noreturn]] void fail(const std::string& key, const std::string& message) const;
    /**
     * The same for a key that is required, with a key beside it that may be meant.
     *
     * @param instead  what may be given in its place, if anything
     */
    [[noreturn]] void failMissing(const std::string& key, const std::string& instead = "") const;

private:
    const toml::node* find(const std::string& key);
    double asNumber(const toml::node& node, const std::string& key) const;
    std::int64_t asInteger(const toml::node& node, const std::string& key, std::int64_t lowest,
                           std::int64_t highest = largestInt) const;
    std::string path(const std::string& key) const;

    const toml::table& content;
    std::string origin, name;
    std::set<std::string> known;
};

/** @throws Error  if the file cannot be read or is no TOML; the sentence names the line */
toml::table parseToml(const std::string& path);
/** @return a path that a configuration names, as seen from the configuration's folder if it is relative */
std::string relativeTo(const std::string& config, const std::string& path);
/** @return the value as an int; what is too large for any check stays too large */
int asInt(std::int64_t value);
/** A number that must be greater than zero. */
double positive(ConfigTable& table, const std::string& key, std::optional<double> fallback = {});
/** A number that must lie in [lowest, highest]. */
double between(ConfigTable& table, const std::string& key, double lowest, double highest, double fallback);

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_CONFIGTABLE_H_

#include "TrainingLog.h"

#include <cstdio>
#include <filesystem>
#include <vector>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

std::vector<std::string> linesUpTo(const std::string& path, std::int64_t step) {
    std::ifstream file(path);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) {
        const nlohmann::json entry = nlohmann::json::parse(line, nullptr, false);
        if (entry.is_object() && entry.value("step", step + 1) <= step)
            lines.push_back(line);
    }
    return lines;
}

std::string duration(double seconds) {
    const auto s = static_cast<long>(seconds);
    char text[32];
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    return text;
}

} // namespace

TrainingLog::TrainingLog(const std::string& logPath, std::optional<std::int64_t> resumeAfter)
    : path(logPath), terminal(isatty(STDERR_FILENO)) {
    const std::vector<std::string> kept =
        resumeAfter ? linesUpTo(path, *resumeAfter) : std::vector<std::string>();
    file.open(path, std::ios::trunc);
    for (const std::string& line : kept)
        file << line << '\n';
    if (!file.flush())
        throw Error(path + ": the log cannot be written");
}

void TrainingLog::write(const TrainingStatus& status) {
    nlohmann::ordered_json entry;
    if (status.stage)
        entry["stage"] = *status.stage;
    entry["step"] = status.step;
    entry["loss"] = nullptr;
    const auto add = [&](const std::string& prefix, const std::optional<Losses>& losses) {
        if (!losses)
            return;
        entry[prefix + "loss"] = losses->total();
        if (status.names.hasPenalty()) {
            entry[prefix + status.names.main + "_loss"] = losses->main;
            entry[prefix + status.names.penalty + "_loss"] = losses->penalty;
        }
    };
    add("", status.losses);
    add("validation_", status.validationLosses);
    entry["learning_rate"] = status.learningRate;
    entry["steps_per_second"] = status.stepsPerSecond;
    entry["elapsed_seconds"] = status.elapsedSeconds;
    entry["skipped"] = status.skipped;
    file << entry.dump() << std::endl;
    // Weights are worth more than a line: a full disk may have room again before the next checkpoint.
    if (!file && !failing)
        say(path + ": the log cannot be written (is the disk full?); the training goes on without it");
    failing = !file;
    file.clear();
}

bool TrainingLog::isProgressDue() const {
    const double interval = terminal ? 0.5 : 10.0;
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - lastShown).count() >= interval;
}

void TrainingLog::showProgress(const TrainingStatus& status, bool force) {
    if (!force && !isProgressDue())
        return;
    lastShown = std::chrono::steady_clock::now();
    char text[256];
    int length = 0;
    const auto append = [&](const char* format, auto value) {
        length += std::snprintf(text + length, sizeof text - length, format, value);
    };
    if (status.stage)
        append("stage %d  ", *status.stage);
    append("step %lld/", static_cast<long long>(status.step));
    append("%lld", static_cast<long long>(status.steps));
    if (status.losses)
        append("  loss %.5f", status.losses->total());
    if (status.losses && status.names.hasPenalty()) {
        append(" (%s ", status.names.penaltyTitle.c_str());
        append("%.5f)", status.losses->penalty);
    }
    if (status.validationLosses)
        append("  validation %.5f", status.validationLosses->total());
    append("  %.1f steps/s", status.stepsPerSecond);
    if (status.stepsPerSecond > 0.0)
        append("  ETA %s", duration(double(status.steps - status.step) / status.stepsPerSecond).c_str());
    if (status.skipped > 0)
        append("  (%lld left out)", static_cast<long long>(status.skipped));
    if (terminal)
        std::fprintf(stderr, "\r%s\x1b[K", text);
    else
        std::fprintf(stderr, "%s\n", text);
    lineOpen = terminal;
    std::fflush(stderr);
}

void TrainingLog::say(const std::string& sentence) {
    if (lineOpen)
        std::fputc('\n', stderr);
    lineOpen = false;
    std::fprintf(stderr, "%s\n", sentence.c_str());
}

} // namespace OpenMMScore

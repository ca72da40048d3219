#include "openmmscore/sampling/FlowCoordinates.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

#include "FlowCoordinatesSettings.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

using nlohmann::json;
using std::numbers::pi;

constexpr int maxParticles = 4096;

} // namespace

FlowCoordinates::FlowCoordinates(std::vector<ZMatrixRow> rows, std::vector<double> given)
    : internal(std::move(rows)), centres(std::move(given)) {
    const auto numTorsions = static_cast<std::size_t>(getNumParticles() - 3);
    if (centres.size() != numTorsions)
        throw ShapeError("FlowCoordinates: there are " + std::to_string(centres.size()) + " centres for " +
                         std::to_string(numTorsions) + " torsions");
    for (std::size_t k = 0; k < numTorsions; k++) {
        if (isCircular(k))
            circular.push_back(static_cast<int>(k) + 2 * getNumParticles() - 3);
        else if (!std::isfinite(centres[k]))
            throw ShapeError("FlowCoordinates: centre " + std::to_string(k) + " is not finite");
    }
}

FlowCoordinates FlowCoordinates::fit(std::vector<ZMatrixRow> rows, std::int64_t count,
                                     const double* positions) {
    const InternalCoordinates internal(rows);
    const auto n = static_cast<std::size_t>(internal.getNumParticles());
    std::vector<double> u(3 * n - 6), sines(n - 3), cosines(n - 3), centres(n - 3);
    const auto forEachTorsion = [&](auto use) {
        std::int64_t frames = 0;
        for (std::int64_t i = 0; i < count; i++) {
            const double* x = positions + i * static_cast<std::int64_t>(3 * n);
            if (internal.toInternal(x, u.data()).status != InternalCoordinates::Status::Ok)
                continue;
            frames++;
            for (std::size_t k = 0; k < n - 3; k++)
                use(k, u[2 * n - 3 + k]);
        }
        return frames;
    };
    const std::int64_t used = forEachTorsion([&](std::size_t k, double torsion) {
        sines[k] += std::sin(torsion);
        cosines[k] += std::cos(torsion);
    });
    if (used == 0)
        throw ShapeError("FlowCoordinates: none of " + std::to_string(count) +
                         " configurations has internal coordinates");
    for (std::size_t k = 0; k < n - 3; k++)
        centres[k] = std::atan2(sines[k], cosines[k]);
    forEachTorsion([&](std::size_t k, double torsion) {
        if (!(std::cos(torsion - centres[k]) > 0))
            centres[k] = std::numeric_limits<double>::quiet_NaN();
    });
    return {std::move(rows), std::move(centres)};
}

double FlowCoordinates::stretch(const double* y) const {
    const auto n = static_cast<std::size_t>(getNumParticles());
    double sum = 0;
    for (std::size_t i = 0; i < n - 1; i++)
        sum += y[i];
    // sin(theta) = 1 / cosh(y)
    for (std::size_t i = n - 1; i < 2 * n - 3; i++)
        sum -= std::log(std::cosh(y[i]));
    for (std::size_t k = 0; k < n - 3; k++)
        if (!isCircular(k))
            sum -= std::log1p(0.25 * y[2 * n - 3 + k] * y[2 * n - 3 + k]);
    return sum;
}

FlowCoordinates::Result FlowCoordinates::toFlow(const double* x, double* y) const {
    Result result = internal.toInternal(x, y);
    if (result.status != InternalCoordinates::Status::Ok)
        return result;
    const auto n = static_cast<std::size_t>(getNumParticles());
    for (std::size_t i = 0; i < n - 1; i++)
        y[i] = std::log(y[i]);
    for (std::size_t i = n - 1; i < 2 * n - 3; i++)
        y[i] = std::log(std::tan(0.5 * y[i]));
    for (std::size_t k = 0; k < n - 3; k++)
        if (!isCircular(k)) {
            double& torsion = y[2 * n - 3 + k];
            torsion = 2 * std::tan(0.5 * std::remainder(torsion - centres[k], 2 * pi));
        }
    result.logJacobian += stretch(y);
    return result;
}

FlowCoordinates::Result FlowCoordinates::toPositions(double* y, double* x) const {
    const auto n = static_cast<std::size_t>(getNumParticles());
    const double logStretch = stretch(y);
    for (std::size_t i = 0; i < n - 1; i++)
        y[i] = std::exp(y[i]);
    for (std::size_t i = n - 1; i < 2 * n - 3; i++)
        y[i] = 2 * std::atan(std::exp(y[i]));
    for (std::size_t k = 0; k < n - 3; k++)
        if (!isCircular(k))
            y[2 * n - 3 + k] = centres[k] + 2 * std::atan(0.5 * y[2 * n - 3 + k]);
    Result result = internal.toCartesian(y, x);
    result.logJacobian += logStretch;
    if (result.status == InternalCoordinates::Status::Ok && !std::isfinite(logStretch)) {
        // A torsion so far out that its volume is no number.
        const double nan = std::numeric_limits<double>::quiet_NaN();
        std::fill_n(x, 3 * n, nan);
        return {InternalCoordinates::Status::NotFinite, nan, 0};
    }
    return result;
}

json flowCoordinatesToJson(const FlowCoordinates& coordinates) {
    json rows = json::array(), centres = json::array();
    for (const ZMatrixRow& row : coordinates.getInternal().getRows())
        rows.push_back({row.atom, row.bond, row.angle, row.torsion});
    for (int k = 0; k < coordinates.getNumParticles() - 3; k++) {
        const double centre = coordinates.getCentres()[static_cast<std::size_t>(k)];
        centres.push_back(std::isnan(centre) ? json(nullptr) : json(centre));
    }
    return {{"kind", "internal"}, {"rows", rows}, {"centres", centres}};
}

FlowCoordinates flowCoordinatesFromJson(const JsonField& field) {
    static constexpr std::string_view fields[] = {"kind", "rows", "centres"};
    field.requireFields(fields);
    if (field.field("kind").text(32) != "internal")
        field.field("kind").failExpecting("'internal'");
    const JsonField rows = field.field("rows"), centres = field.field("centres");
    const std::size_t n = rows.arraySize(3, maxParticles);
    std::vector<ZMatrixRow> matrix(n);
    for (std::size_t i = 0; i < n; i++) {
        const JsonField row = rows.element(i);
        row.arraySize(4, 4);
        const auto atom = [&](std::size_t column) {
            return static_cast<int>(row.element(column).integer(-1, static_cast<std::int64_t>(n) - 1));
        };
        matrix[i] = {atom(0), atom(1), atom(2), atom(3)};
    }
    std::vector<double> values(centres.arraySize(n - 3, n - 3));
    for (std::size_t k = 0; k < values.size(); k++)
        values[k] = centres.element(k).json().is_null() ? std::numeric_limits<double>::quiet_NaN()
                                                        : centres.element(k).number(-4, 4);
    try {
        return {std::move(matrix), std::move(values)};
    }
    catch (const ShapeError& error) {
        field.fail(error.what());
    }
}

std::string FlowCoordinates::writeSettings() const {
    return flowCoordinatesToJson(*this).dump();
}

FlowCoordinates FlowCoordinates::readSettings(std::string_view text, const std::string& origin) {
    const json document = parseCheckedJson(text, origin);
    return flowCoordinatesFromJson(JsonField(document, origin));
}

} // namespace OpenMMScore

// Which kernel serves which platform, whatever is loaded first. Each case needs a process of its own.
#include <typeinfo>

#include "ScoreForceTesting.h"
#include "openmmscore/internal/CalcScoreForceKernel.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

/** Exits with 0 if both platforms have the kernels that they should have. */
[[noreturn]] void loadAndCheck(const std::vector<std::string>& libraries, const std::string& cpuKernel) {
    for (const std::string& library : libraries)
        Platform::loadPluginLibrary(library);
    System system;
    addMolecules(system, makePerceptron(), 1);
    for (const auto& [platform, expected] : std::map<std::string, std::string>{
             {"Reference", "ReferenceCalcScoreForceKernel"}, {"CPU", cpuKernel}}) {
        Simulation simulation(system, Platform::getPlatform(platform), {Vec3(0.1, 0.2, 0.3)});
        OpenMM::ContextImpl& impl = ContextAccess::getImpl(simulation.context);
        OpenMM::Kernel kernel = impl.getPlatform().createKernel(CalcScoreForceKernel::Name(), impl);
        if (std::string(typeid(kernel.getImpl()).name()).find(expected) == std::string::npos)
            std::exit(1);
    }
    std::exit(0);
}

class PluginLoadingDeathTest : public ::testing::Test {
protected:
    PluginLoadingDeathTest() { ::testing::FLAGS_gtest_death_test_style = "threadsafe"; }
    const std::string cpu = OPENMM_PLUGIN_DIR "/libOpenMMCPU.so";
};

TEST_F(PluginLoadingDeathTest, ReferenceThenCpu) {
    EXPECT_EXIT(loadAndCheck({cpu, SCORE_REFERENCE_PLUGIN, SCORE_CPU_PLUGIN}, "CpuCalcScoreForceKernel"),
                ::testing::ExitedWithCode(0), "");
}

TEST_F(PluginLoadingDeathTest, CpuThenReference) {
    EXPECT_EXIT(loadAndCheck({cpu, SCORE_CPU_PLUGIN, SCORE_REFERENCE_PLUGIN}, "CpuCalcScoreForceKernel"),
                ::testing::ExitedWithCode(0), "");
}

TEST_F(PluginLoadingDeathTest, WithoutTheCpuPluginTheReferenceKernelServesBoth) {
    EXPECT_EXIT(loadAndCheck({cpu, SCORE_REFERENCE_PLUGIN}, "ReferenceCalcScoreForceKernel"),
                ::testing::ExitedWithCode(0), "");
}

} // namespace

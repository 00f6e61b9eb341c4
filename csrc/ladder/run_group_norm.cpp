// A rung of GroupNorm + Swish alone: 2 images of 32 channels, 16 x 16, in 4 groups, against the formula in double precision.
#include "group_norm/group_norm.h"
#include "ladder/run.h"

int main() {
    return guarded([] {
        constexpr int IMAGES = 2, GROUPS = 4, CHANNELS = 8, PIXELS = 256, COUNT = CHANNELS * PIXELS;
        Numbers x(IMAGES * GROUPS * COUNT, mixed), y(x.size, zero), mean(IMAGES * GROUPS, zero), inverse_std(IMAGES * GROUPS, zero);
        Numbers weight(GROUPS * CHANNELS, [](size_t i) { return 1 + mixed(i) / 2; }), bias(GROUPS * CHANNELS, mixed);
        const GroupNorm n = {IMAGES, GROUPS, CHANNELS, PIXELS, 1e-5f, true, x.data, weight.data, bias.data, y.data, mean.data,
                             inverse_std.data};
        measure(GroupNormRung::first->name, [&] { GroupNormRung::first->function(n, nullptr); });

        std::vector<double> wanted;
        for (int group = 0; group < IMAGES * GROUPS; group++) {
            const float* numbers = x.data + group * COUNT;
            double sum = 0, squares = 0;
            for (int i = 0; i < COUNT; i++) sum += double(numbers[i]);
            for (int i = 0; i < COUNT; i++) squares += std::pow(double(numbers[i]) - sum / COUNT, 2);
            for (int i = 0; i < COUNT; i++) {
                const int channel = group % GROUPS * CHANNELS + i / PIXELS;
                const double x_hat = (double(numbers[i]) - sum / COUNT) / std::sqrt(squares / COUNT + 1e-5);
                const double z = x_hat * double(weight.data[channel]) + double(bias.data[channel]);
                wanted.push_back(z / (1 + std::exp(-z)));
            }
        }
        return compare(y, wanted);
    });
}

// A rung of conv2d alone: y of 64 channels from 16, 3 x 3, against the equation in double precision. The rung that normalises x first,
// in 4 groups, is compared with all three equations.
#include "conv2d/conv2d.h"
#include "group_norm/group_norm.h"
#include "ladder/run.h"

// x of one image -> swish(group_norm(x)).
static void normalise(const GroupNorm& n, std::vector<double>& x) {
    const int size = n.channels_per_group * n.pixels;
    for (int group = 0; group < n.groups; group++) {
        double* of_group = &x[size_t(group * size)];
        double mean = 0, variance = 0;
        for (int k = 0; k < size; k++) mean += of_group[k] / size;
        for (int k = 0; k < size; k++) variance += (of_group[k] - mean) * (of_group[k] - mean) / size;
        for (int k = 0; k < size; k++) {
            const int channel = group * n.channels_per_group + k / n.pixels;
            const double z = (of_group[k] - mean) / std::sqrt(variance + double(n.eps)) * double(n.weight[channel]) + double(n.bias[channel]);
            of_group[k] = z / (1 + std::exp(-z));
        }
    }
}

int main() {
    return guarded([] {
        const Conv c{1, 16, 10, 18, 64, 3, 3, 8, 16, 1, 1, 0, 0, 1, 1, 1};
        Numbers x(size_t(c.N * c.C * c.H * c.W), mixed), weight(size_t(c.O * c.C * 9), [](size_t i) { return mixed(i + 7); });
        Numbers bias(size_t(c.O), mixed), y(size_t(c.N * c.O * c.I * c.J), zero);
        const int splits = 3;
        Numbers parts(y.size * splits, zero);
        Numbers norm_weight(size_t(c.C), mixed), norm_bias(size_t(c.C), mixed), scales(size_t(2 * c.N * c.C), zero);
        std::vector<double> seen(x.data, x.data + x.size);  // by the convolution
        if (const auto* rung = Conv2dRung::first) {
            measure(rung->name, [&] { rung->function(c, x.data, weight.data, bias.data, y.data, Plan{0, splits, parts.data}, nullptr); });
        } else {
            const GroupNorm norm{c.N, 4, c.C / 4, c.H * c.W, 1e-5f, true, x.data, norm_weight.data, norm_bias.data, nullptr, nullptr, nullptr};
            auto* to = reinterpret_cast<float2*>(scales.data);
            measure(NormConv2dRung::first->name,
                    [&] { NormConv2dRung::first->function(norm, c, weight.data, bias.data, to, y.data, nullptr); });
            normalise(norm, seen);
        }

        std::vector<double> wanted;
        for (int n = 0; n < c.N; n++)
            for (int o = 0; o < c.O; o++)
                for (int i = 0; i < c.I; i++)
                    for (int j = 0; j < c.J; j++) {
                        double sum = double(bias.data[o]);
                        for (int ch = 0; ch < c.C; ch++)
                            for (int u = 0; u < 3; u++)
                                for (int v = 0; v < 3; v++)
                                    sum += double(weight.data[((o * c.C + ch) * 3 + u) * 3 + v]) *
                                           seen[((n * c.C + ch) * c.H + i + u) * c.W + j + v];
                        wanted.push_back(sum);
                    }
        return compare(y, wanted);
    });
}

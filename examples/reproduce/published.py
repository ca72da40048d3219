"""Published results of ScoreMD (arXiv:2506.17139), mean +- standard deviation over three seeds."""

from __future__ import annotations

_COLUMNS = ("iid JS", "sim JS", "iid PMF", "sim PMF")


def _rows(**rows: tuple[str, str, str, str]) -> dict[str, dict[str, str]]:
    return {method: dict(zip(_COLUMNS, row, strict=True)) for method, row in rows.items()}


#: System -> method -> column -> what is published.
PUBLISHED = {
    "mueller_brown": _rows(
        diffusion=("0.0122 +- 0.0013", "0.0448 +- 0.0125", "0.111 +- 0.006", "0.504 +- 0.150"),
        mixture=("0.0109 +- 0.0007", "0.0254 +- 0.0109", "0.097 +- 0.004", "0.247 +- 0.113"),
        fokker_planck=("0.0130 +- 0.0010", "0.0166 +- 0.0009", "0.122 +- 0.006", "0.163 +- 0.008"),
        both=("0.0110 +- 0.0007", "0.0108 +- 0.0008", "0.098 +- 0.003", "0.099 +- 0.004"),
    ),
    "alanine_dipeptide": _rows(
        diffusion=("0.0081 +- 0.0003", "0.0695 +- 0.0517", "0.095 +- 0.003", "1.047 +- 0.924"),
        two_for_one=("0.0081 +- 0.0003", "0.0158 +- 0.0002", "0.098 +- 0.006", "0.206 +- 0.004"),
        mixture=("0.0080 +- 0.0004", "0.0353 +- 0.0117", "0.092 +- 0.007", "0.388 +- 0.109"),
        fokker_planck=("0.0084 +- 0.0002", "0.0088 +- 0.0006", "0.098 +- 0.006", "0.105 +- 0.011"),
        both=("0.0079 +- 0.0002", "0.0086 +- 0.0004", "0.089 +- 0.005", "0.099 +- 0.003"),
    ),
}

"""What a run is made of: presets, cases, trained bases, measuring, results that are kept."""

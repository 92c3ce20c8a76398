SELECT id, note, ratios, fine, words, moment, small FROM thing

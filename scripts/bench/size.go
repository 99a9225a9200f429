// This file owns the sizes of the workloads.

package main

// size says how much of everything the workloads have. Bytes are before compression.
type size struct {
	name                   string
	bigWheels, bigBytes    int // of one large file each, as a library of CUDA is
	midWheels              int // of many modules and a data file each
	midModules, midBytes   int
	steps                  int // of W5
	files, fileBytes       int // of W6
	pullLayers, pullBytes  int // bytes of each layer of the image that is pulled
	pullFiles              int
	growFiles, growBytes   int // 1x of the table of growth
	growLayers, growStages int
	quick                  int // runs of what takes less than a second
}

var sizes = map[string]size{
	"small": {
		name: "small", bigWheels: 2, bigBytes: 24 << 20, midWheels: 5, midModules: 60, midBytes: 1 << 20,
		steps: 10, files: 3000, fileBytes: 9 << 10, pullLayers: 10, pullBytes: 6 << 20, pullFiles: 100,
		growFiles: 500, growBytes: 8 << 20, growLayers: 4, growStages: 4, quick: 5,
	},
	"full": {
		name: "full", bigWheels: 4, bigBytes: 345 << 20, midWheels: 30, midModules: 300, midBytes: 18 << 20,
		steps: 40, files: 30000, fileBytes: 9 << 10, pullLayers: 10, pullBytes: 200 << 20, pullFiles: 500,
		growFiles: 62500, growBytes: 64 << 20, growLayers: 30, growStages: 12, quick: 7,
	},
}

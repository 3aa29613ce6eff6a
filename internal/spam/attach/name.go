package attach

import (
	"slices"
	"strings"
)

// runs are ends of names of files that a desktop runs, opens with rights or mounts.
var runs = strings.Fields(`exe scr pif com bat cmd ps1 psm1 ps2 vb vbs vbe js jse ws wsf wsh wsc sct hta cpl msi msp mst msix
	msc dll ocx sys drv lnk scf inf reg jar jnlp chm hlp xll appx appxbundle application gadget settingcontent-ms library-ms
	url website iqy slk iso img vhd vhdx udf apk action command workflow`)

// macros are ends of names of office documents that may hold macros.
var macros = strings.Fields("docm dotm xlsm xltm xlam xlsb pptm potm ppam ppsm sldm")

// documents are ends of names that people think harmless.
var documents = strings.Fields(`pdf doc docx xls xlsx ppt pptx odt ods rtf txt csv xml htm html jpg jpeg png gif bmp tif tiff
	mp3 mp4 avi mov wav zip rar eml msg`)

// byName applies the rules of names, also against what the content is.
func (s *search) byName(f *file, k kind) {
	if strings.ContainsFunc(f.name, turns) {
		s.hit(Disguised, f, "characters that turn the direction of writing")
	}
	name := windowsName(f.name)
	stem, end := cutEnd(name)
	switch {
	case slices.Contains(runs, end):
		if !k.program {
			s.hit(Executable, f, "."+end)
		}
		_, before := cutEnd(strings.TrimSpace(stem))
		if slices.Contains(documents, before) {
			s.hit(Disguised, f, "."+before+" and then ."+end)
		}
	case k.program && slices.Contains(documents, end):
		s.hit(Disguised, f, k.name+" that is called ."+end)
	}
	if slices.Contains(macros, end) && k.inside == asNothing {
		s.hit(Macro, f, "."+end)
	}
}

// turns tells the characters that change the direction of writing.
func turns(r rune) bool {
	return r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

// windowsName is the name under which Windows would keep the file: without folder,
// without stream, without dots and spaces at its end.
func windowsName(name string) string {
	name = strings.ToLower(name)
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	name, _, _ = strings.Cut(name, ":")
	name = strings.Map(func(r rune) rune {
		if turns(r) || r == '\u200b' {
			return -1
		}
		return r
	}, name)
	return strings.TrimRight(name, ". \u00a0\t\x00")
}

func cutEnd(name string) (stem, end string) {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return name, ""
	}
	return name[:i], strings.TrimSpace(name[i+1:])
}

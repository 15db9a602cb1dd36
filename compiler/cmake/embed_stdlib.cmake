# cmake -DOUT=FILE -DFOLDER=stdlib -P embed_stdlib.cmake: every FOLDER/NAME.dp as a line STD_MODULE("NAME", "text"),
# sorted by name, so that dp carries its standard library within itself.
file(GLOB modules ${FOLDER}/*.dp)
list(SORT modules)
set(text "// Generated from stdlib/*.dp: STD_MODULE(name, text).\n")
foreach(module IN LISTS modules)
  get_filename_component(name ${module} NAME_WE)
  file(READ ${module} bytes HEX)
  string(REGEX REPLACE "(..)" "\\\\x\\1" bytes "${bytes}")
  string(APPEND text "STD_MODULE(\"${name}\", \"${bytes}\")\n")
endforeach()
file(WRITE ${OUT} "${text}")

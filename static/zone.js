// Presets the time zone of a new schedule to that of the browser.
const select = document.querySelector("select[data-preset]");
const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
if (select && [...select.options].some(({ value }) => value === timeZone)) select.value = timeZone;
